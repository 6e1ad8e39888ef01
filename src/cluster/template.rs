//! What a pod (or a pod template) says of its app: budget, pools per pod, and what its own env would allow.
//!
//! In: labels, annotations, containers. Out: [`AppFacts`]. The same reading serves pods, ReplicaSets and
//! Deployments, so that they can never disagree.

use std::collections::BTreeMap;

use super::env::{Container, Environment, Setting, number};
use crate::api::names;
use crate::budget::amount::{Connections, Instances};
use crate::budget::split::Split;

/// pool_size that SQLAlchemy takes when nothing is said.
pub const DEFAULT_POOL_SIZE: u64 = 5;
/// max_overflow that SQLAlchemy takes when nothing is said.
pub const DEFAULT_MAX_OVERFLOW: u64 = 10;

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
    /// Pools in one pod, as its bill is made: also where the count is refused. None where there can be any number.
    pub pools: Option<Instances>,
    /// What one pod may hold by its own env, without a grant.
    pub own: Connections,
    /// How its own env configures a pool, what the gate replaced in it put back; none where that has no bound or cannot be
    /// known.
    pub stated: Option<Split>,
    /// Whether its container reads its sizes from the grant.
    pub late_bound: bool,
}

type Map = Option<BTreeMap<String, String>>;

impl AppFacts {
    /// Reads labels, annotations and containers.
    #[must_use]
    pub fn read(labels: &Map, annotations: &Map, containers: &[Container]) -> Self {
        let empty = BTreeMap::new();
        let (labels, notes) = (labels.as_ref().unwrap_or(&empty), annotations.as_ref().unwrap_or(&empty));
        let processes = count(notes, names::PROCESSES);
        let engines = count(notes, names::ENGINES);
        let stated = (processes.clone().unwrap_or(1), engines.clone().unwrap_or(1));
        let foreign = notes.get(names::PROFILE).filter(|profile| *profile != names::DEFAULT_PROFILE);
        let instances = match (processes, engines) {
            _ if foreign.is_some() => Err(format!(
                "{}={} is not supported by this version; leave it out (SQLAlchemy) or name the variables with {} and {}",
                names::PROFILE,
                foreign.map_or_else(String::new, |profile| short(profile)),
                names::POOL_SIZE_ENV,
                names::MAX_OVERFLOW_ENV
            )),
            (Err(why), _) | (_, Err(why)) => Err(why),
            (Ok(processes), Ok(engines)) => Ok(Instances::of(processes, engines)),
        };
        let pools = pools(notes);
        let app = App { labels, notes, containers };
        let own = match pools {
            Some(pools) if foreign.is_none() => app.own_bill().per_pod(pools),
            // Nobody knows which variables another profile reads.
            _ => Connections::MAX,
        };
        Self {
            budget: labels.get(names::BUDGET).cloned(),
            own,
            stated: app.stated(),
            late_bound: app.late_bound(),
            instances,
            pools,
            processes: stated.0,
            engines: stated.1,
        }
    }

    /// What can be said of a pod that cannot be read.
    #[must_use]
    pub fn unreadable(budget: &str, why: &str) -> Self {
        Self {
            budget: Some(budget.to_owned()),
            instances: Err(format!("it cannot be read: {why}")),
            processes: 1,
            engines: 1,
            pools: None,
            own: Connections::MAX,
            stated: None,
            late_bound: false,
        }
    }
}

/// A count that an annotation states; 1 when it states none.
fn count(notes: &BTreeMap<String, String>, key: &str) -> Result<u32, String> {
    let Some(text) = notes.get(key) else { return Ok(1) };
    match text.parse::<u32>() {
        Ok(n) if (1..=names::MAX_PROCESSES).contains(&n) && !text.starts_with('+') => Ok(n),
        _ => Err(format!("{key}={} must be a whole number from 1 to {}", short(text), names::MAX_PROCESSES)),
    }
}

/// Processes × engines as they are meant: what is refused as a count still runs in a pod that passed the gate.
fn pools(notes: &BTreeMap<String, String>) -> Option<Instances> {
    let meant = |key: &str| match notes.get(key).map(|text| number(text)) {
        None => Some(1),
        Some(Setting::Number(n)) if n >= 1 => u32::try_from(n).ok(),
        Some(_) => None,
    };
    Some(Instances::of(meant(names::PROCESSES)?.checked_mul(meant(names::ENGINES)?)?, 1))
}

/// The literal values that the gate put its own entries in the place of.
fn replaced(notes: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    notes.get(names::REPLACED_ENV).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// A text of somebody else, quoted so that a message stays a sentence.
fn short(text: &str) -> String {
    const MOST: usize = 40;
    let beginning: String = text.chars().take(MOST).collect();
    let more = if text.chars().nth(MOST).is_some() { "…" } else { "" };
    format!("{beginning:?}{more}")
}

/// The app of a pod: its labels, annotations and containers.
struct App<'a> {
    labels: &'a BTreeMap<String, String>,
    notes: &'a BTreeMap<String, String>,
    containers: &'a [Container],
}

impl<'a> App<'a> {
    /// The environments of the containers that may be the app's: the named one, the first, or any when the named one is
    /// not there.
    fn environments(&self) -> impl Iterator<Item = Environment<'a>> {
        let named = self.notes.get(names::CONTAINER);
        let place = |name: &String| self.containers.iter().position(|container| &container.name == name);
        let chosen = match named.map(place) {
            None => self.containers.get(..1),
            Some(Some(place)) => self.containers.get(place..=place),
            Some(None) => Some(self.containers),
        };
        let (labels, annotations) = (self.labels, self.notes);
        let environment = move |container| Environment { container, labels, annotations };
        chosen.unwrap_or_default().iter().map(environment)
    }

    fn pool_size(&self) -> &str {
        self.notes.get(names::POOL_SIZE_ENV).map_or(names::DEFAULT_POOL_SIZE_ENV, String::as_str)
    }

    fn max_overflow(&self) -> &str {
        self.notes.get(names::MAX_OVERFLOW_ENV).map_or(names::DEFAULT_MAX_OVERFLOW_ENV, String::as_str)
    }

    /// What one pool may open by the env of the app's container.
    ///
    /// Zero and negative numbers mean unlimited to SQLAlchemy, and what cannot be known may be unlimited; what is no number
    /// stops the app, or leaves it at its default, so the default is counted.
    fn own_bill(&self) -> Connections {
        let opens = |setting: Setting, least: i64, default: u64| match setting {
            Setting::Default => Connections::new(default),
            Setting::Number(n) if n >= least => u64::try_from(n).map_or(Connections::MAX, Connections::new),
            Setting::Number(_) | Setting::Unknown => Connections::MAX,
        };
        let pool = |environment: Environment<'_>| {
            opens(environment.setting(self.pool_size()), 1, DEFAULT_POOL_SIZE).plus(opens(
                environment.setting(self.max_overflow()),
                0,
                DEFAULT_MAX_OVERFLOW,
            ))
        };
        let default = Connections::new(DEFAULT_POOL_SIZE + DEFAULT_MAX_OVERFLOW);
        self.environments().map(pool).max().unwrap_or(default)
    }

    /// How the env of the app's container configures a pool, if it were not bound to a grant. Of an env that cannot be
    /// told, or sets no bound, nothing is said.
    fn stated(&self) -> Option<Split> {
        let mut environments = self.environments();
        let environment = environments.next().filter(|_| environments.next().is_none())?;
        let replaced = replaced(self.notes);
        let setting = |name: &str, annotation: &str, least: i64, default: u64| {
            let setting = if environment.reads(name, annotation) {
                replaced.get(name).map_or(Setting::Default, |text| number(text))
            } else {
                environment.setting(name)
            };
            match setting {
                Setting::Default => Some(Connections::new(default)),
                Setting::Number(n) if n >= least => {
                    i32::try_from(n).ok().and_then(|n| u64::try_from(n).ok()).map(Connections::new)
                }
                Setting::Number(_) | Setting::Unknown => None,
            }
        };
        Some(Split {
            pool_size: setting(self.pool_size(), names::POOL_SIZE, 1, DEFAULT_POOL_SIZE)?,
            max_overflow: setting(self.max_overflow(), names::MAX_OVERFLOW, 0, DEFAULT_MAX_OVERFLOW)?,
        })
    }

    fn late_bound(&self) -> bool {
        let mut environments = self.environments();
        let reads = |environment: Environment<'_>| {
            environment.reads(self.pool_size(), names::POOL_SIZE)
                && environment.reads(self.max_overflow(), names::MAX_OVERFLOW)
        };
        environments.next().is_some_and(reads) && environments.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::env::{EnvVar, FieldRef, ValueFrom};

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
        vec![Container { name: "app".into(), env, ..Container::default() }]
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
            ..Container::default()
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
    fn what_the_gate_replaced_is_what_the_env_states() {
        let stated = |notes: &[(&str, &str)], env: &[(&str, Option<&str>)]| {
            let split = AppFacts::read(&None, &map(notes), &app(env)).stated;
            split.map(|split| (split.pool_size.get(), split.max_overflow.get()))
        };
        assert_eq!(stated(&[], &[("DB_POOL_SIZE", Some("3")), ("DB_MAX_OVERFLOW", Some("0"))]), Some((3, 0)));
        assert_eq!(stated(&[], &[]), Some((5, 10)));
        assert_eq!(stated(&[], &[("DB_MAX_OVERFLOW", Some("-1"))]), None);
        assert_eq!(stated(&[], &[("DB_POOL_SIZE", Some("$(N)"))]), None);
        let mut containers = app(&[("DB_POOL_SIZE", None), ("DB_MAX_OVERFLOW", Some("7"))]);
        let field_path = format!("metadata.annotations['{}']", names::POOL_SIZE);
        containers[0].env[0].value_from = Some(ValueFrom { field_ref: Some(FieldRef { field_path }) });
        let notes =
            map(&[(names::POOL_SIZE, "1"), (names::REPLACED_ENV, r#"{"DB_POOL_SIZE":"4","OTHER":"9"}"#)]);
        let split = AppFacts::read(&None, &notes, &containers).stated.expect("sizes");
        assert_eq!((split.pool_size.get(), split.max_overflow.get()), (4, 7));
    }

    #[test]
    fn a_count_that_is_refused_multiplies_the_bill_all_the_same() {
        let own =
            |count: &str| AppFacts::read(&None, &map(&[(names::PROCESSES, count)]), &app(&[])).own.get();
        assert_eq!([own("2000"), own(" 4 "), own("+2")], [30_000, 60, 30]);
        for unreadable in ["", "0", "-1", "four", "4.0", "1e3", "99999999999"] {
            assert_eq!(own(unreadable), u64::MAX, "{unreadable:?}");
        }
    }

    #[test]
    fn where_the_named_container_is_missing_any_may_be_the_app() {
        let mut containers = app(&[("DB_POOL_SIZE", Some("1")), ("DB_MAX_OVERFLOW", Some("0"))]);
        containers.extend(app(&[("DB_POOL_SIZE", Some("40"))]));
        let facts = AppFacts::read(&None, &map(&[(names::CONTAINER, "web")]), &containers);
        assert_eq!((facts.own.get(), facts.late_bound), (50, false));
    }

    #[test]
    fn a_long_text_is_quoted_in_part() {
        let facts = AppFacts::read(&None, &map(&[(names::PROCESSES, &"9\u{1}".repeat(100_000))]), &app(&[]));
        let why = facts.instances.expect_err("no count");
        assert!(why.len() < 400 && why.contains('…'), "{why}");
    }

    #[test]
    fn another_profile_is_refused_not_ignored() {
        let facts = AppFacts::read(&None, &map(&[(names::PROFILE, "HikariCP")]), &app(&[]));
        assert_eq!(facts.own, Connections::MAX);
        assert!(facts.instances.expect_err("refused").contains("not supported"));
    }
}
