//! What a pod (or a pod template) says of its app: budget, pools per pod, and what its own env would allow.
//!
//! In: labels, annotations, containers. Out: [`AppFacts`]. The same reading serves pods, ReplicaSets and
//! Deployments, so that they can never disagree.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::api::names;
use crate::budget::amount::{Connections, Instances};

/// pool_size that SQLAlchemy takes when nothing is said.
pub const DEFAULT_POOL_SIZE: u64 = 5;
/// max_overflow that SQLAlchemy takes when nothing is said.
pub const DEFAULT_MAX_OVERFLOW: u64 = 10;

/// A container, as far as it is used.
#[derive(Deserialize, Clone, Debug, Default)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its literal environment.
    #[serde(default)]
    pub env: Vec<EnvVar>,
}

/// An environment variable, as far as it is used.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct EnvVar {
    /// Its name.
    pub name: String,
    /// Its literal value, when it has one.
    #[serde(default)]
    pub value: Option<String>,
    /// Where else its value comes from.
    #[serde(default)]
    pub value_from: Option<ValueFrom>,
}

/// Where the value of a variable comes from.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct ValueFrom {
    /// A field of the pod itself.
    #[serde(default)]
    pub field_ref: Option<FieldRef>,
}

/// A field of the pod itself.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct FieldRef {
    /// Such as `metadata.annotations['poolbudget.dev/pool-size']`.
    #[serde(default)]
    pub field_path: String,
}

/// What an app says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppFacts {
    /// The budget that its label names.
    pub budget: Option<String>,
    /// Pools in one pod, or the sentence that says why that cannot be known.
    pub instances: Result<Instances, String>,
    /// Processes, as stated (for messages).
    pub processes: u32,
    /// Engines, as stated (for messages).
    pub engines: u32,
    /// What one pod may hold by its own env, without a grant.
    pub own: Connections,
    /// Whether its container reads its sizes from the grant.
    pub late_bound: bool,
}

type Map = Option<BTreeMap<String, String>>;

impl AppFacts {
    /// Reads labels, annotations and containers.
    #[must_use]
    pub fn read(labels: &Map, annotations: &Map, containers: &[Container]) -> Self {
        let empty = BTreeMap::new();
        let notes = annotations.as_ref().unwrap_or(&empty);
        let processes = count(notes, names::PROCESSES);
        let engines = count(notes, names::ENGINES);
        let profile = notes.get(names::PROFILE).map_or(names::DEFAULT_PROFILE, String::as_str);
        let stated = (processes.clone().unwrap_or(1), engines.clone().unwrap_or(1));
        let instances = match (processes, engines) {
            _ if profile != names::DEFAULT_PROFILE => Err(format!(
                "{}={profile} is not supported by this version; leave it out (SQLAlchemy) or name the variables with {} and {}",
                names::PROFILE,
                names::POOL_SIZE_ENV,
                names::MAX_OVERFLOW_ENV
            )),
            (Err(why), _) | (_, Err(why)) => Err(why),
            (Ok(processes), Ok(engines)) => Ok(Instances::of(processes, engines)),
        };
        let app = App { notes, containers };
        Self {
            budget: labels.as_ref().and_then(|labels| labels.get(names::BUDGET)).cloned(),
            own: app.own_bill().per_pod(Instances::of(stated.0, stated.1)),
            late_bound: app.late_bound(),
            instances,
            processes: stated.0,
            engines: stated.1,
        }
    }
}

/// A count that an annotation states; 1 when it states none.
fn count(notes: &BTreeMap<String, String>, key: &str) -> Result<u32, String> {
    let Some(text) = notes.get(key) else { return Ok(1) };
    match text.parse::<u32>() {
        Ok(n) if (1..=names::MAX_PROCESSES).contains(&n) && !text.starts_with('+') => Ok(n),
        _ => Err(format!("{key}={text:?} must be a whole number from 1 to {}", names::MAX_PROCESSES)),
    }
}

/// The app of a pod: its annotations and containers.
struct App<'a> {
    notes: &'a BTreeMap<String, String>,
    containers: &'a [Container],
}

impl App<'_> {
    /// The entry that takes effect for one of the two variables: the last of its name in the app's container.
    fn entry(&self, key: &str, default_name: &str) -> Option<&EnvVar> {
        let name = self.notes.get(key).map_or(default_name, String::as_str);
        let container = match self.notes.get(names::CONTAINER) {
            Some(name) => self.containers.iter().find(|container| &container.name == name),
            None => self.containers.first(),
        };
        container?.env.iter().rfind(|entry| entry.name == name)
    }

    fn pool_size(&self) -> Option<&EnvVar> {
        self.entry(names::POOL_SIZE_ENV, names::DEFAULT_POOL_SIZE_ENV)
    }

    fn max_overflow(&self) -> Option<&EnvVar> {
        self.entry(names::MAX_OVERFLOW_ENV, names::DEFAULT_MAX_OVERFLOW_ENV)
    }

    /// What one pool may open by the literal env of the app's container.
    ///
    /// Zero and negative numbers mean unlimited to SQLAlchemy; what is no number stops the app, or leaves
    /// it at its default, so the default is counted.
    fn own_bill(&self) -> Connections {
        let literal = |entry: Option<&EnvVar>| entry?.value.as_deref()?.trim().parse::<i64>().ok();
        let (pool, overflow) = (literal(self.pool_size()), literal(self.max_overflow()));
        if pool.is_some_and(|n| n <= 0) || overflow.is_some_and(|n| n < 0) {
            return Connections::MAX;
        }
        let or = |value: Option<i64>, default: u64| {
            Connections::new(value.and_then(|n| u64::try_from(n).ok()).unwrap_or(default))
        };
        or(pool, DEFAULT_POOL_SIZE).plus(or(overflow, DEFAULT_MAX_OVERFLOW))
    }

    fn late_bound(&self) -> bool {
        let reads = |entry: Option<&EnvVar>, annotation: &str| {
            let source = entry.and_then(|entry| entry.value_from.as_ref()?.field_ref.as_ref());
            source.is_some_and(|field| field.field_path == format!("metadata.annotations['{annotation}']"))
        };
        reads(self.pool_size(), names::POOL_SIZE) && reads(self.max_overflow(), names::MAX_OVERFLOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> Map {
        Some(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    fn app(env: &[(&str, Option<&str>)]) -> Vec<Container> {
        let env = env
            .iter()
            .map(|(name, value)| EnvVar {
                name: (*name).into(),
                value: value.map(Into::into),
                value_from: None,
            })
            .collect();
        vec![Container { name: "app".into(), env }]
    }

    fn own(env: &[(&str, Option<&str>)]) -> u64 {
        AppFacts::read(&None, &None, &app(env)).own.get()
    }

    #[test]
    fn an_app_that_says_nothing_may_open_five_plus_ten() {
        assert_eq!(own(&[]), 15);
    }

    #[test]
    fn literals_are_added_and_the_last_of_a_name_wins() {
        assert_eq!(
            own(&[("DB_POOL_SIZE", Some("9")), ("DB_POOL_SIZE", Some("2")), ("DB_MAX_OVERFLOW", Some("1"))]),
            3
        );
    }

    #[test]
    fn zero_and_negative_literals_are_unlimited() {
        assert_eq!(own(&[("DB_POOL_SIZE", Some("0"))]), u64::MAX);
        assert_eq!(own(&[("DB_MAX_OVERFLOW", Some("-1"))]), u64::MAX);
    }

    #[test]
    fn what_is_no_number_counts_as_the_default() {
        assert_eq!(own(&[("DB_POOL_SIZE", Some("abc")), ("DB_MAX_OVERFLOW", None)]), 15);
    }

    #[test]
    fn processes_and_engines_multiply() {
        let facts = AppFacts::read(&None, &map(&[(names::PROCESSES, "4"), (names::ENGINES, "2")]), &app(&[]));
        assert_eq!(facts.instances, Ok(Instances::of(4, 2)));
        assert_eq!(facts.own.get(), 120);
    }

    #[test]
    fn a_count_that_is_no_number_from_1_to_1000_is_refused_with_a_sentence() {
        for bad in ["0", "-1", "1001", "four", "", "+2", "2.0", "99999999999"] {
            let facts = AppFacts::read(&None, &map(&[(names::PROCESSES, bad)]), &app(&[]));
            let why = facts.instances.expect_err(bad);
            assert!(why.contains("must be a whole number from 1 to 1000"), "{why}");
        }
    }

    #[test]
    fn own_names_are_read_from_the_named_container() {
        let mut containers = app(&[("POOL", Some("99"))]);
        containers.push(Container {
            name: "web".into(),
            env: vec![
                EnvVar { name: "POOL".into(), value: Some("3".into()), value_from: None },
                EnvVar { name: "EXTRA".into(), value: Some("4".into()), value_from: None },
            ],
        });
        let notes = map(&[
            (names::CONTAINER, "web"),
            (names::POOL_SIZE_ENV, "POOL"),
            (names::MAX_OVERFLOW_ENV, "EXTRA"),
        ]);
        assert_eq!(AppFacts::read(&None, &notes, &containers).own.get(), 7);
    }

    #[test]
    fn late_bound_is_an_app_whose_container_reads_both_sizes_from_the_grant() {
        let reads = |annotation: &str| {
            let field_path = format!("metadata.annotations['{annotation}']");
            Some(ValueFrom { field_ref: Some(FieldRef { field_path }) })
        };
        let mut containers =
            app(&[("DB_POOL_SIZE", Some("5")), ("DB_POOL_SIZE", None), ("DB_MAX_OVERFLOW", None)]);
        containers[0].env[1].value_from = reads(names::POOL_SIZE);
        assert!(!AppFacts::read(&None, &None, &containers).late_bound);
        containers[0].env[2].value_from = reads(names::MAX_OVERFLOW);
        assert!(AppFacts::read(&None, &None, &containers).late_bound);
        containers[0].env.push(EnvVar {
            name: "DB_POOL_SIZE".into(),
            value: Some("9".into()),
            value_from: None,
        });
        assert!(!AppFacts::read(&None, &None, &containers).late_bound);
    }

    #[test]
    fn another_profile_is_refused_not_ignored() {
        let facts = AppFacts::read(&None, &map(&[(names::PROFILE, "HikariCP")]), &app(&[]));
        assert!(facts.instances.expect_err("refused").contains("not supported"));
    }
}
