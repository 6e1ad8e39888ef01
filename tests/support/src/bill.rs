//! The bill of one pod, computed independently: whose it is, and what is wrong with its grant.
//!
//! In: a pod as the API server shows it. Out: the account that it counts for, and how many connections it may open by
//! [`may_hold`], which reads its env as its containers do.
//! Forbidden here: the operator's code, and the annotation `connections`, except to check it. The operator wrote it; this
//! is the check.

use std::fmt::{self, Display};

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use super::may_hold::{ended, may_hold};
use super::objects::{BUDGET_LABEL, CONNECTIONS, MAX_OVERFLOW, POOL_SIZE};

/// What counts where no number bounds a pod: more than any limit, and sums of it are numbers still.
const UNBOUNDED: u64 = 1 << 32;

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
    of(&serde_json::to_value(pod).expect("a pod is JSON"))
}

/// Reads a pod that is JSON; `None` for a pod that does not use databases.
pub fn of(pod: &Value) -> Option<Bill> {
    let facts = Facts { pod };
    let text = |text: &Value| text.as_str().map(ToOwned::to_owned);
    let budget = text(&pod["metadata"]["labels"][BUDGET_LABEL]);
    if budget.is_none() && !facts.names_a_size() {
        return None;
    }
    let namespace = text(&pod["metadata"]["namespace"]).unwrap_or_default();
    let (standing, mut faults) = facts.judge();
    let connections = match standing {
        Standing::Gated | Standing::Ended => 0,
        Standing::Granted { .. } | Standing::Foreign => may_hold(pod).min(UNBOUNDED),
    };
    if matches!(standing, Standing::Granted { .. }) {
        faults.extend(facts.bill_fault(connections));
    }
    Some(Bill { account: Account { namespace, budget }, standing, connections, faults })
}

/// The parts of a pod that matter.
struct Facts<'a> {
    pod: &'a Value,
}

impl<'a> Facts<'a> {
    /// Its state, and what is wrong.
    fn judge(&self) -> (Standing, Vec<String>) {
        if ended(self.pod) {
            return (Standing::Ended, Vec::new());
        }
        if self.pod["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty()) {
            return (Standing::Gated, Vec::new());
        }
        let grant = (self.annotation(POOL_SIZE), self.annotation(MAX_OVERFLOW));
        if grant == (None, None) {
            return (Standing::Foreign, Vec::new());
        }
        let parse = |value: Option<&str>| value.and_then(|text| text.parse::<u64>().ok());
        let (Some(pool_size), Some(max_overflow)) = (parse(grant.0), parse(grant.1)) else {
            let fault = format!("a grant that cannot be read: pool-size and max-overflow are {grant:?}");
            return (Standing::Foreign, vec![fault]);
        };
        let mut faults = self.env_faults();
        if pool_size == 0 {
            faults.push("a granted pool size of 0 means unlimited".to_owned());
        }
        (Standing::Granted { pool_size, max_overflow }, faults)
    }

    fn annotation(&self, name: &str) -> Option<&'a str> {
        self.pod["metadata"]["annotations"][name].as_str()
    }

    /// The variables of the pool's size and of its overflow, each with the annotation that it is to be read from.
    fn variables(&self) -> [(&'a str, &'static str); 2] {
        let name = |own: &str, usual| self.annotation(own).unwrap_or(usual);
        [
            (name("poolbudget.dev/pool-size-env", "DB_POOL_SIZE"), POOL_SIZE),
            (name("poolbudget.dev/max-overflow-env", "DB_MAX_OVERFLOW"), MAX_OVERFLOW),
        ]
    }

    fn entries(&self, name: &str) -> Vec<&'a Value> {
        let containers = self.pod["spec"]["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
        let own = self.annotation("poolbudget.dev/container");
        let container = match own.or(self.annotation("kubectl.kubernetes.io/default-container")) {
            Some(name) => containers.iter().find(|container| container["name"] == name),
            None => containers.first(),
        };
        let env = container.and_then(|container| container["env"].as_array());
        env.into_iter().flatten().filter(|entry| entry["name"] == name).collect()
    }

    fn names_a_size(&self) -> bool {
        // The last entry with a name wins.
        let literal = |name| self.entries(name).last()?["value"].as_str()?.parse::<u64>().ok();
        self.variables().iter().any(|(name, _)| literal(name).is_some())
    }

    /// The env of a granted pod must read exactly what it was granted.
    fn env_faults(&self) -> Vec<String> {
        // Nothing of such an app is written.
        if self.annotation("poolbudget.dev/profile") == Some("Counted") {
            return Vec::new();
        }
        let fault = |(name, annotation): (&str, &str)| {
            let path = format!("metadata.annotations['{annotation}']");
            let entries = self.entries(name);
            let bound = matches!(entries[..], [entry] if entry["valueFrom"]["fieldRef"]["fieldPath"] == path);
            (!bound).then(|| format!("{name} is not read from {path} and from nowhere else: {entries:?}"))
        };
        self.variables().into_iter().filter_map(fault).collect()
    }

    /// The operator's own number must agree.
    fn bill_fault(&self, connections: u64) -> Option<String> {
        let stated = self.annotation(CONNECTIONS);
        (stated != Some(connections.to_string().as_str())).then(|| {
            format!("the annotation connections says {stated:?}, by its env the pod may hold {connections}")
        })
    }
}
