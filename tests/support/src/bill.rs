//! What one pod may hold, computed independently.
//!
//! In: a pod as the API server shows it. Out: the account that it counts for, and how many connections it may open.
//! Forbidden here: the annotation `connections`, except to check it. The operator wrote it; this is the check.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use k8s_openapi::api::core::v1::{Container, EnvVar, Pod};

const PREFIX: &str = "poolbudget.dev";
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// What an application without settings opens: SQLAlchemy's own defaults.
const DEFAULT_POOL_SIZE: u64 = 5;
const DEFAULT_MAX_OVERFLOW: u64 = 10;

/// Whose sum a pod counts for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Account {
    /// The namespace of the pod and of the budget.
    pub namespace: String,
    /// The budget; `None` for pods of the namespace without a budget (from before adoption).
    pub budget: Option<String>,
}

impl Account {
    /// The account of a budget.
    pub fn of(namespace: &str, budget: &str) -> Self {
        Self { namespace: namespace.to_owned(), budget: Some(budget.to_owned()) }
    }

    /// The account of pods without a budget.
    pub fn ungoverned(namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), budget: None }
    }
}

impl Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.budget.as_deref().unwrap_or("(no budget)"))
    }
}

/// The state of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Held by a scheduling gate: no connections.
    Gated,
    /// Runs with the size that it was granted.
    Granted {
        /// Per instance.
        pool_size: u64,
        /// Per instance.
        max_overflow: u64,
    },
    /// Runs with a size that was not granted.
    Foreign,
    /// Its containers have ended: holds nothing.
    Ended,
}

/// The result for one pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bill {
    /// The account that it counts for.
    pub account: Account,
    /// Its state.
    pub standing: Standing,
    /// How many connections it may open.
    pub connections: u64,
    /// What is wrong with it, if anything.
    pub faults: Vec<String>,
}

/// Reads a pod; `None` for a pod that does not use databases.
pub fn read(pod: &Pod) -> Option<Bill> {
    let facts = Facts::of(pod)?;
    let budget = pod.metadata.labels.as_ref().and_then(|labels| labels.get(&format!("{PREFIX}/budget")));
    let account =
        Account { namespace: pod.metadata.namespace.clone().unwrap_or_default(), budget: budget.cloned() };
    if budget.is_none() && !facts.names_a_size() {
        return None;
    }
    let (standing, size, faults) = facts.judge();
    let instances = facts.number("processes", 1).saturating_mul(facts.number("engines", 1));
    let connections = size.saturating_mul(instances);
    let mut bill = Bill { account, standing, connections, faults };
    if matches!(standing, Standing::Granted { .. }) {
        bill.faults.extend(facts.bill_fault(connections));
    }
    Some(bill)
}

/// The parts of a pod that matter.
struct Facts<'a> {
    annotations: BTreeMap<&'a str, &'a str>,
    container: Option<&'a Container>,
    gated: bool,
    ended: bool,
}

impl<'a> Facts<'a> {
    fn of(pod: &'a Pod) -> Option<Self> {
        let spec = pod.spec.as_ref()?;
        let annotations: BTreeMap<&str, &str> = pod
            .metadata
            .annotations
            .iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?.strip_prefix('/')?, value.as_str())))
            .collect();
        let usual = pod.metadata.annotations.as_ref().and_then(|all| all.get(DEFAULT_CONTAINER));
        let container = match annotations.get("container").copied().or(usual.map(String::as_str)) {
            Some(name) => spec.containers.iter().find(|container| container.name == name),
            None => spec.containers.first(),
        };
        Some(Self {
            annotations,
            container,
            gated: spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty()),
            ended: ended(pod),
        })
    }

    /// Its state, how many connections one instance may open, and what is wrong.
    fn judge(&self) -> (Standing, u64, Vec<String>) {
        if self.ended {
            return (Standing::Ended, 0, Vec::new());
        }
        if self.gated {
            return (Standing::Gated, 0, Vec::new());
        }
        let grant = (self.annotations.get("pool-size"), self.annotations.get("max-overflow"));
        if grant == (None, None) {
            return (Standing::Foreign, self.foreign_size(), Vec::new());
        }
        let parse = |value: Option<&&str>| value.and_then(|text| text.parse::<u64>().ok());
        let (Some(pool_size), Some(max_overflow)) = (parse(grant.0), parse(grant.1)) else {
            let fault = format!("a grant that cannot be read: pool-size and max-overflow are {grant:?}");
            return (Standing::Foreign, self.foreign_size(), vec![fault]);
        };
        let mut faults = self.env_faults();
        if pool_size == 0 {
            faults.push("a granted pool size of 0 means unlimited".to_owned());
        }
        (Standing::Granted { pool_size, max_overflow }, pool_size.saturating_add(max_overflow), faults)
    }

    fn number(&self, name: &str, default: u64) -> u64 {
        self.annotations.get(name).and_then(|text| text.parse().ok()).unwrap_or(default)
    }

    fn pool_size_env(&self) -> &str {
        self.annotations.get("pool-size-env").copied().unwrap_or("DB_POOL_SIZE")
    }

    fn max_overflow_env(&self) -> &str {
        self.annotations.get("max-overflow-env").copied().unwrap_or("DB_MAX_OVERFLOW")
    }

    fn entries(&self, name: &str) -> Vec<&'a EnvVar> {
        let env = self.container.and_then(|container| container.env.as_deref()).unwrap_or_default();
        env.iter().filter(|entry| entry.name == name).collect()
    }

    /// The last entry with a name wins.
    fn literal(&self, name: &str) -> Option<u64> {
        self.entries(name).last()?.value.as_ref()?.parse().ok()
    }

    fn names_a_size(&self) -> bool {
        self.literal(self.pool_size_env()).is_some() || self.literal(self.max_overflow_env()).is_some()
    }

    fn foreign_size(&self) -> u64 {
        let pool_size = self.literal(self.pool_size_env()).unwrap_or(DEFAULT_POOL_SIZE);
        pool_size.saturating_add(self.literal(self.max_overflow_env()).unwrap_or(DEFAULT_MAX_OVERFLOW))
    }

    /// The env of a granted pod must read exactly what it was granted.
    fn env_faults(&self) -> Vec<String> {
        let expected = [(self.pool_size_env(), "pool-size"), (self.max_overflow_env(), "max-overflow")];
        let fault = |(name, annotation): (&str, &str)| {
            let path = format!("metadata.annotations['{PREFIX}/{annotation}']");
            let entries = self.entries(name);
            let bound = matches!(entries.as_slice(), [entry] if field_path(entry) == Some(&path));
            (!bound).then(|| format!("{name} is not read from {path} and from nowhere else: {entries:?}"))
        };
        expected.into_iter().filter_map(fault).collect()
    }

    /// The operator's own number must agree.
    fn bill_fault(&self, connections: u64) -> Option<String> {
        let stated = self.annotations.get("connections").copied();
        (stated != Some(connections.to_string().as_str())).then(|| {
            format!("the annotation connections says {stated:?}, by its sizes the pod may hold {connections}")
        })
    }
}

/// The phase alone proves nothing: on a lost node, a container keeps running whatever the phase says.
fn ended(pod: &Pod) -> bool {
    let (Some(spec), Some(status)) = (&pod.spec, &pod.status) else { return false };
    let over = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    let reports = status.container_statuses.as_deref().unwrap_or_default();
    let terminated = |container: &Container| {
        let report = reports.iter().find(|report| report.name == container.name);
        report.and_then(|report| report.state.as_ref()).is_some_and(|state| state.terminated.is_some())
    };
    over && (spec.node_name.is_none() || spec.containers.iter().all(terminated))
}

fn field_path(entry: &EnvVar) -> Option<&String> {
    Some(&entry.value_from.as_ref()?.field_ref.as_ref()?.field_path)
}
