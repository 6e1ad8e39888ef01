//! What a pod (or a pod template) says of its app: budget, pools per pod, and what its own env would allow.
//!
//! In: labels, annotations, containers. Out: [`AppFacts`]. The same reading serves pods and all that makes pods, so that
//! they can never disagree. What the check refuses is read all the same, as it is meant: it may run.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use super::env::{Container, Environment, Setting, number};
use super::overrides;
use super::processes::{Counted, Part, counted, told};
use super::unread;
use crate::api::names;
use crate::budget::amount::{Connections, Instances};
use crate::budget::split::{Knobs, Split};
use crate::profile::rules::Rule;
use crate::profile::stated::Stated;
use crate::profile::{Gets, Knob, Pool, Profile, Reads, Sizing, Switch, Written};

/// What an app says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppFacts {
    /// The budget that its label names.
    pub budget: Option<String>,
    /// Whose rules its pools follow; none where no profile has the name that it states.
    pub profile: Option<&'static Profile>,
    /// Pools in one pod, or the sentence that says why that cannot be known.
    pub instances: Result<Instances, String>,
    /// Processes that run at one time (for messages).
    pub processes: u32,
    /// Who says so many processes (for messages), behind the number.
    pub processes_from: Cow<'static, str>,
    /// What the user should know of the number of processes: that the annotation and the command contradict each other,
    /// or that it is not known.
    pub processes_remark: Option<String>,
    /// Pools of each process: engines as stated, times what the profile makes of one (for messages).
    pub engines: u32,
    /// Pools in one pod, as its bill is made: also where the count is refused. None where there can be any number.
    pub pools: Option<Instances>,
    /// What one pod may hold by its own env, without a grant.
    pub own: Connections,
    /// How its own env configures a pool, what the gate replaced in it put back: the most of any of its containers. None
    /// where that has no bound or cannot be known.
    pub stated: Option<Split>,
    /// Whether its containers read their sizes from the grant, and no other one may have a pool.
    pub late_bound: bool,
    /// The container that opens connections and does not.
    pub unbound: Option<String>,
    /// Why it cannot be known which containers have a pool.
    pub taken: Option<String>,
    /// What wins over the variables that would bind it, in a sentence.
    pub overruled: Option<String>,
    /// What its containers set for another profile, where it names none, in a sentence.
    pub unread: Option<String>,
    /// Whether its smallest size is larger because an annotation states connections beside its pools.
    pub extra_stated: bool,
    /// Connections of one instance, where no variable sets them; those beside the pool included.
    pub fixed: Option<Connections>,
    /// Connections that an instance opens beside its pool: those of a process, shared among its pools. None where that cannot
    /// be known.
    pub beside: Option<u32>,
}

/// For pools whose own default has no bound.
const USUAL_POOL_SIZE: Connections = Connections::new(10);

type Map = Option<BTreeMap<String, String>>;

/// The rules without which the pools of a pod cannot be known.
const COUNTED_BY: [Rule; 8] = [
    Rule::Profile,
    Rule::Bounded,
    Rule::Processes,
    Rule::ProcessesOf,
    Rule::Count(names::ENGINES, names::MAX_PROCESSES),
    Rule::Count(names::EXTRA, names::MAX_PROCESSES),
    Rule::Count(names::CONNECTIONS_PER_PROCESS, names::MAX_PROCESSES),
    Rule::SizeNeeded,
];

impl AppFacts {
    /// Reads labels, annotations, init containers and containers.
    #[must_use]
    pub fn read(labels: &Map, annotations: &Map, init: &[Container], regular: &[Container]) -> Self {
        let empty = BTreeMap::new();
        let (labels, notes) = (labels.as_ref().unwrap_or(&empty), annotations.as_ref().unwrap_or(&empty));
        let stated = Stated {
            budget: labels.get(names::BUDGET).map_or("", String::as_str),
            notes,
            regular: regular.iter().map(|container| container.name.as_str()).collect(),
            init: init.iter().map(|container| container.name.as_str()).collect(),
            node: "",
            unknown: Vec::new(),
            sets: init.iter().chain(regular).flat_map(Container::sets).collect(),
            is_pod: false,
        };
        let mut app = App { labels, stated: &stated, init, regular, counted: &[] };
        let processes = app.count(&app.named());
        app.counted = &processes;
        let fault = COUNTED_BY
            .iter()
            .find_map(|rule| {
                Some(format!("{}; {}", rule.allowed(), shortened(&rule.broken(&stated)?, QUOTED)))
            })
            .or_else(|| processes.iter().find_map(|counted| counted.fault.clone()));
        let (processes_from, processes_remark) = (app.processes_from(), app.processes_remark());
        let pools = app.pools();
        let unknown = || "its processes and engines are more than can be counted".to_owned();
        let (processes, engines) = if fault.is_none() { app.factors() } else { None }.unwrap_or((1, 1));
        Self {
            budget: labels.get(names::BUDGET).cloned(),
            profile: stated.profile(),
            instances: fault.map_or_else(|| pools.ok_or_else(unknown), Err),
            processes,
            processes_from,
            processes_remark,
            engines,
            pools,
            own: app.own().unwrap_or(Connections::MAX),
            stated: app.split(),
            late_bound: app.is_written() && app.unbound().is_none() && app.stated.others().is_empty(),
            unbound: app.unbound().map(|name| shortened(name, QUOTED)),
            taken: Rule::Taken.sentence(&stated).map(|sentence| shortened(&sentence, LONGEST)),
            overruled: app.overruled(),
            unread: app.unread(),
            extra_stated: app.is_extra_stated(),
            fixed: app.fixed(),
            beside: app.beside(),
        }
    }

    /// What can be said of a pod that cannot be read.
    #[must_use]
    pub fn unreadable(budget: &str, why: &str) -> Self {
        Self {
            budget: Some(budget.to_owned()),
            profile: None,
            instances: Err(format!("it cannot be read: {why}")),
            processes: 1,
            processes_from: Cow::Borrowed("unknown"),
            processes_remark: None,
            engines: 1,
            pools: None,
            own: Connections::MAX,
            stated: None,
            late_bound: false,
            unbound: None,
            taken: None,
            overruled: None,
            unread: None,
            extra_stated: false,
            fixed: None,
            beside: None,
        }
    }

    /// Whether it is counted and not governed: no variable could tell it a size.
    #[must_use]
    pub fn is_counted(&self) -> bool {
        self.profile.is_some_and(|profile| matches!(profile.sizing, Sizing::Counted { .. }))
    }

    /// What its pools can be told.
    #[must_use]
    pub fn knobs(&self) -> Knobs {
        self.profile.map_or(Knobs::BOTH, Profile::knobs).with_beside(self.beside.unwrap_or(0))
    }

    /// The sizes that it takes when it is told nothing; ten where those have no bound.
    #[must_use]
    pub fn usual(&self) -> Split {
        let pool = self.profile.and_then(Profile::written).and_then(|written| written.pools.first());
        let bounded = |knob: &Knob| match knob.unset {
            Reads::Connections(n) => Some(Connections::new(n.into())),
            Reads::Unlimited | Reads::NotTried | Reads::Fails => None,
        };
        let size = pool.and_then(|pool| bounded(&pool.size)).unwrap_or(USUAL_POOL_SIZE);
        let overflow = pool.and_then(|pool| pool.overflow.as_ref()).and_then(bounded);
        Split { pool_size: size, max_overflow: overflow.unwrap_or_else(|| self.knobs().on_top()) }
    }

    /// The smallest size that an instance of it can be given.
    #[must_use]
    pub fn least(&self) -> Connections {
        let pool = self.profile.map_or(Connections::ONE, Profile::least);
        self.fixed.unwrap_or_else(|| pool.plus(self.knobs().beside()))
    }

    /// Who needs more than one connection for an instance: its profile, an annotation.
    #[must_use]
    pub fn needed_by(&self) -> Option<String> {
        let profile = self.profile.filter(|_| self.fixed.is_none() && self.least() > Connections::ONE)?;
        let by_itself = profile.least() > Connections::ONE || profile.extra > 0;
        Some(match (by_itself, self.extra_stated) {
            (true, true) => format!("profile {} with {}", profile.name, names::EXTRA),
            (false, true) => names::EXTRA.to_owned(),
            (_, false) => format!("profile {}", profile.name),
        })
    }
}

/// The number that an annotation means: what is refused as a count still runs in a pod that passed the gate.
pub(super) fn meant(text: &str) -> Option<u32> {
    match number(text) {
        Setting::Number(n) if n >= 1 => u32::try_from(n).ok(),
        _ => None,
    }
}

/// The most characters of a quoted text, and of a sentence that holds one.
const QUOTED: usize = 80;
const LONGEST: usize = 400;

/// A text that quotes somebody else, cut so that a message stays a sentence.
#[must_use]
pub fn shortened(text: &str, most: usize) -> String {
    let printable = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let beginning: String = text.chars().take(most).map(printable).collect();
    let more = if text.chars().nth(most).is_some() { "…" } else { "" };
    format!("{beginning}{more}")
}

/// The app of a pod: its labels, annotations and containers.
#[derive(Clone, Copy)]
struct App<'a> {
    labels: &'a BTreeMap<String, String>,
    stated: &'a Stated<'a>,
    init: &'a [Container],
    regular: &'a [Container],
    /// The processes of each of the containers that open connections, in their order.
    counted: &'a [Counted],
}

/// When a container runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Runs {
    /// Before all that follow.
    First,
    /// From its turn among the init containers on.
    Beside,
    /// After all init containers.
    Last,
}

/// A container that opens connections.
struct Named<'a> {
    name: &'a str,
    runs: Runs,
    /// None where the pod has no container of that name.
    container: Option<&'a Container>,
    /// Its place among those that open connections.
    place: usize,
}

impl<'a> App<'a> {
    /// The containers that open connections, in the order in which they start. One that is not there may be any of
    /// them.
    fn named(&self) -> Vec<Named<'a>> {
        self.those(&self.stated.containers())
    }

    /// The containers of these names, in the same way.
    fn those(&self, list: &[&'a str]) -> Vec<Named<'a>> {
        let there = |container: &'a Container, runs| Named {
            name: &container.name,
            runs,
            container: Some(container),
            place: 0,
        };
        let missing = |name| Named { name, runs: Runs::Last, container: None, place: 0 };
        let init = self.init.iter().map(|container| {
            let sidecar = container.restart_policy.as_deref() == Some("Always");
            there(container, if sidecar { Runs::Beside } else { Runs::First })
        });
        let all = init.chain(self.regular.iter().map(|container| there(container, Runs::Last)));
        let mut wanted: HashSet<&str> = list.iter().copied().collect();
        let mut named: Vec<Named<'a>> = all.filter(|container| wanted.contains(container.name)).collect();
        named.iter().for_each(|there| {
            wanted.remove(there.name);
        });
        // In their order, each once, and one more than can be counted.
        let absent = list.iter().copied().filter(|name| wanted.remove(*name)).take(names::MAX_CONTAINERS + 1);
        named.extend(absent.map(missing));
        if named.is_empty() {
            named.push(missing(""));
        }
        for (place, container) in named.iter_mut().enumerate() {
            container.place = place;
        }
        named
    }

    /// Counts the processes of each container. One that is not there may be any.
    fn count(&self, containers: &[Named<'a>]) -> Vec<Counted> {
        let absent = containers.iter().filter(|named| named.container.is_none()).count();
        let of = |named: &Named<'a>| {
            if absent > names::MAX_CONTAINERS {
                return Counted::too_many();
            }
            let candidates: Vec<Environment<'_>> = match named.container {
                Some(container) => vec![self.environment(container)],
                None => self.init.iter().chain(self.regular).map(|any| self.environment(any)).collect(),
            };
            counted(self.stated, named.name, &candidates, named.runs == Runs::First)
        };
        containers.iter().map(of).collect()
    }

    /// Who says how many processes there are.
    fn processes_from(&self) -> Cow<'static, str> {
        if let [only] = self.counted {
            return only.from.clone();
        }
        let named = self.named();
        let all: Vec<Part<'_>> = named
            .iter()
            .zip(self.counted)
            .take(names::MAX_CONTAINERS)
            .map(|(named, counted)| Part { name: named.name, first: named.runs == Runs::First, counted })
            .collect();
        Cow::Owned(told(&all))
    }

    fn processes_remark(&self) -> Option<String> {
        let named = self.named();
        let several = named.len() > 1;
        let told: Vec<String> = named
            .iter()
            .zip(self.counted)
            .take(names::MAX_CONTAINERS)
            .filter_map(|(named, counted)| {
                let remark = counted.remark.as_ref()?;
                Some(if several {
                    format!("container {}: {remark}", shortened(named.name, QUOTED))
                } else {
                    remark.clone()
                })
            })
            .collect();
        (!told.is_empty()).then(|| told.join("; "))
    }

    /// Pools that each process of it has.
    fn engines(&self) -> Option<u32> {
        let stated = self.stated.says(names::ENGINES).map_or(Some(1), meant)?;
        stated.checked_mul(self.stated.profile().map_or(1, Profile::pools))
    }

    /// Processes that run at one time, and the pools of each.
    fn factors(&self) -> Option<(u32, u32)> {
        let processes =
            at_once(&self.named(), |container| self.counted.get(container.place)?.processes.map(u64::from))?;
        Some((u32::try_from(processes).ok()?, self.engines()?))
    }

    fn pools(&self) -> Option<Instances> {
        let (processes, engines) = self.factors()?;
        Some(Instances::of(processes.checked_mul(engines)?, 1))
    }

    /// Connections of one instance that nothing sets.
    fn fixed(&self) -> Option<Connections> {
        let Sizing::Counted { default } = self.stated.profile()?.sizing else { return None };
        let size = self.stated.says(names::CONNECTIONS_PER_PROCESS).map_or(default, meant)?;
        Some(Connections::new(size.into()).plus(Connections::new(self.beside()?.into())))
    }

    /// Connections that each process opens beside its pools.
    fn extra(&self) -> Option<u32> {
        let own = self.stated.says(names::EXTRA).map_or(Some(0), meant)?;
        own.checked_add(self.stated.profile().map_or(0, |profile| profile.extra))
    }

    /// The part of them that is counted with each pool.
    fn beside(&self) -> Option<u32> {
        Some(self.extra()?.div_ceil(self.engines()?.max(1)))
    }

    fn knobs(&self) -> Option<Knobs> {
        Some(self.stated.profile()?.knobs().with_beside(self.beside()?))
    }

    /// What one pod may open by its own env, with any container that may have a pool. None where that has no bound.
    fn own(&self) -> Option<Connections> {
        let profile = self.stated.profile()?;
        let engines = u64::from(self.stated.says(names::ENGINES).map_or(Some(1), meant)?);
        let factor = engines.saturating_mul(profile.engines.into());
        let extra = u64::from(self.extra()?);
        let overruled = self.overruled().is_some();
        let process = |container: &Named<'a>| match &profile.sizing {
            Sizing::Written(_) if overruled => u64::MAX,
            Sizing::Written(written) => {
                self.opens(container, written).get().saturating_mul(factor).saturating_add(extra)
            }
            Sizing::Counted { .. } => self.fixed().unwrap_or(Connections::MAX).get().saturating_mul(factor),
            Sizing::Unbounded => u64::MAX,
        };
        let opening = [self.stated.containers(), self.stated.others()].concat();
        let opening = self.those(&opening);
        let counted = self.count(&opening);
        let bill = at_once(&opening, |container| {
            let processes = u64::from(counted.get(container.place)?.processes?);
            Some(process(container).saturating_mul(processes))
        })?;
        Some(Connections::new(bill))
    }

    /// What one process of a container opens for each engine, by its env.
    fn opens(&self, container: &Named<'a>, written: &Written) -> Connections {
        let of = |container: &Container| -> Connections {
            let environment = self.environment(container);
            written.pools.iter().map(|pool| self.pool_opens(environment, written, pool)).sum()
        };
        if let Some(container) = container.container {
            return of(container).max(self.opens_unread(container));
        }
        let any = self.init.iter().chain(self.regular).map(of).max();
        any.unwrap_or_else(|| of(&Container::default()))
    }

    /// What it would open where it is what a variable of another profile says, the most of those profiles.
    fn opens_unread(&self, container: &Container) -> Connections {
        let environment = self.environment(container);
        let profiles =
            unread::found(self.stated, environment).map_or_else(Vec::new, |unread| unread.profiles);
        let written = profiles.into_iter().filter_map(Profile::written);
        let opens = |written: &Written| -> Connections {
            written.pools.iter().map(|pool| self.pool_opens(environment, written, pool)).sum()
        };
        written.map(opens).max().unwrap_or(Connections::ZERO)
    }

    fn pool_opens(&self, environment: Environment<'_>, written: &Written, pool: &Pool) -> Connections {
        let switched = |switch: &Switch| environment.stands_at(switch.env, switch.value, switch.by_default);
        let setting = |name: &str| {
            if written.switches.iter().all(switched) { environment.setting(name) } else { Setting::Default }
        };
        let bound = |knob: &Knob, gets| {
            let (now, before) = (self.stated.variable(knob.env, gets), knob.formerly);
            with_former(knob, setting(now), before.map_or(Setting::Default, setting))
        };
        let size = bound(&pool.size, Gets::PoolSize);
        let also = pool.also.iter().map(|name| setting(name)).filter(|setting| *setting != Setting::Default);
        let size = also.map(|setting| opens(&pool.size, setting)).fold(size, Connections::max);
        size.plus(match &pool.overflow {
            Some(knob) => bound(knob, Gets::MaxOverflow),
            None => Connections::ZERO,
        })
    }

    /// How the env of its containers configures a pool, if it were not bound to a grant.
    fn split(&self) -> Option<Split> {
        let written = match &self.stated.profile()?.sizing {
            Sizing::Written(written) => written,
            Sizing::Counted { .. } => {
                return self.fixed().map(|size| Split { pool_size: size, max_overflow: Connections::ZERO });
            }
            Sizing::Unbounded => return None,
        };
        let replaced: BTreeMap<String, String> = self
            .stated
            .says(names::REPLACED_ENV)
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        let mut most = Split { pool_size: Connections::ONE, max_overflow: Connections::ZERO };
        let named = self.named();
        for Named { name, container, .. } in &named {
            let environment = self.environment((*container)?);
            let value = |knob: &Knob, gets, annotation| {
                let variable = self.stated.variable(knob.env, gets);
                let setting = if environment.reads(variable, annotation) {
                    let key =
                        if named.len() > 1 { format!("{name}/{variable}") } else { variable.to_owned() };
                    replaced.get(&key).map_or(Setting::Default, |text| number(text))
                } else {
                    environment.setting(variable)
                };
                // What a status and an annotation can hold.
                let former = knob.formerly.map_or(Setting::Default, |name| environment.setting(name));
                Some(with_former(knob, setting, former))
                    .filter(|size| *size <= Connections::new(i32::MAX.unsigned_abs().into()))
            };
            for pool in written.pools {
                let size = value(&pool.size, Gets::PoolSize, names::POOL_SIZE)?;
                let overflow = match &pool.overflow {
                    Some(knob) => value(knob, Gets::MaxOverflow, names::MAX_OVERFLOW)?,
                    None => self.knobs()?.on_top(),
                };
                most.pool_size = most.pool_size.max(size);
                most.max_overflow = most.max_overflow.max(overflow);
            }
        }
        Some(most)
    }

    /// What one of its containers sets for another profile.
    fn unread(&self) -> Option<String> {
        let containers: Vec<_> = self.named().iter().filter_map(|named| named.container).collect();
        containers.into_iter().find_map(|container| {
            Some(unread::found(self.stated, self.environment(container))?.sentence(&container.name))
        })
    }

    /// Whether an annotation adds connections to those that the profile counts with each pool.
    fn is_extra_stated(&self) -> bool {
        let engines = self.engines().unwrap_or(1).max(1);
        let by_profile = self.stated.profile().map_or(0, |profile| profile.extra.div_ceil(engines));
        self.beside().is_some_and(|beside| beside > by_profile)
    }

    /// What wins over the variables in one of its containers.
    fn overruled(&self) -> Option<String> {
        let profile = self.stated.profile()?;
        let named = self.named();
        let containers = named.iter().filter_map(|named| named.container);
        containers.into_iter().find_map(|container| {
            let what = overrides::found(&profile.overrides, self.environment(container))?;
            Some(overrides::sentence(profile, &container.name, &what))
        })
    }

    fn environment(&self, container: &'a Container) -> Environment<'a> {
        Environment { container, labels: self.labels, annotations: self.stated.notes }
    }

    fn is_written(&self) -> bool {
        self.stated.profile().is_some_and(|profile| profile.written().is_some())
    }

    /// The first of its containers that does not read every variable of its profile from the grant.
    fn unbound(&self) -> Option<&'a str> {
        let profile = self.stated.profile()?;
        let reads = |environment: Environment<'_>, (usual, gets): (&'static str, Gets)| match gets {
            Gets::PoolSize => environment.reads(self.stated.variable(usual, gets), names::POOL_SIZE),
            Gets::MaxOverflow => environment.reads(self.stated.variable(usual, gets), names::MAX_OVERFLOW),
            Gets::Text(text) => environment.stands_at(usual, text, false),
        };
        let bound = |container: &'a Container| {
            profile.bounds().all(|variable| reads(self.environment(container), variable))
        };
        let named = self.named();
        named.iter().find(|named| !named.container.is_some_and(bound)).map(|named| named.name)
    }
}

/// What a variable lets a pool open. What stops the app counts as if it were not set: some other version of the app may
/// take no offence at it.
fn opens(knob: &Knob, setting: Setting) -> Connections {
    let reads = match setting {
        Setting::Default => knob.unset,
        Setting::NoNumber => knob.junk,
        Setting::Number(0) => knob.zero,
        Setting::Number(n) => match u64::try_from(n) {
            Ok(n) => return Connections::new(n),
            Err(_) => knob.negative,
        },
        Setting::Unknown => Reads::Unlimited,
    };
    match if reads == Reads::Fails { knob.unset } else { reads } {
        Reads::Connections(n) => Connections::new(n.into()),
        Reads::Unlimited | Reads::NotTried | Reads::Fails => Connections::MAX,
    }
}

/// The same, where an older name may say it in the place of one that is not set. Whether it does depends on the version.
fn with_former(knob: &Knob, setting: Setting, former: Setting) -> Connections {
    let own = opens(knob, setting);
    if setting == Setting::Default && former != Setting::Default { own.max(opens(knob, former)) } else { own }
}

/// The most that containers have at one time. An init container runs alone but for the sidecars that started before it;
/// all others run together. None where one of them has no bound.
fn at_once<'a>(containers: &[Named<'a>], of: impl Fn(&Named<'a>) -> Option<u64>) -> Option<u64> {
    let (mut together, mut most) = (0_u64, 0);
    for container in containers {
        let own = of(container)?;
        match container.runs {
            Runs::First => most = together.saturating_add(own).max(most),
            Runs::Beside | Runs::Last => together = together.saturating_add(own),
        }
    }
    Some(together.max(most))
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
        AppFacts::read(&None, &None, &[], &app(env)).own.get()
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
        let facts =
            AppFacts::read(&None, &map(&[(names::PROCESSES, "4"), (names::ENGINES, "2")]), &[], &app(&[]));
        assert_eq!(facts.instances, Ok(Instances::of(4, 2)));
        assert_eq!(facts.own.get(), 120);
    }

    #[test]
    fn a_count_that_is_no_number_from_1_to_1000_is_refused_with_a_sentence() {
        for bad in ["0", "-1", "1001", "four", "", "+2", "2.0", "99999999999"] {
            let facts = AppFacts::read(&None, &map(&[(names::PROCESSES, bad)]), &[], &app(&[]));
            let why = facts.instances.expect_err(bad);
            assert!(why.contains("must be a whole number from 1 to 1000"), "{why}");
        }
    }

    #[test]
    fn who_needs_more_than_one_connection_is_named() {
        let cases = [
            (&[][..], None),
            (&[(names::EXTRA, "1")], Some("poolbudget.dev/extra-connections")),
            (&[(names::EXTRA, "2"), (names::ENGINES, "3")], Some("poolbudget.dev/extra-connections")),
            (&[(names::PROFILE, "Keycloak")], Some("profile Keycloak")),
            (&[(names::PROFILE, "PostgREST")], Some("profile PostgREST")),
            (
                &[(names::PROFILE, "PostgREST"), (names::EXTRA, "1")],
                Some("profile PostgREST with poolbudget.dev/extra-connections"),
            ),
        ];
        for (notes, expected) in cases {
            let facts = AppFacts::read(&None, &map(notes), &[], &app(&[]));
            assert_eq!(facts.needed_by().as_deref(), expected, "{notes:?}");
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
        assert_eq!(AppFacts::read(&None, &notes, &[], &containers).own.get(), 7);
    }

    #[test]
    fn whatever_is_written_as_containers_is_read_at_once_and_counts_as_any_number() {
        let distinct = (0..40_000).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
        let crowd: Vec<Container> =
            (0..1_000).map(|n| Container { name: format!("c{n}"), ..Container::default() }).collect();
        for (list, processes) in [
            (",".repeat(250_000), "1"),
            (distinct.clone(), "1"),
            (distinct, "app=1,".repeat(40_000).as_str()),
        ] {
            for containers in [&app(&[])[..], &crowd] {
                let began = std::time::Instant::now();
                let notes = map(&[(names::CONTAINER, &list), (names::PROCESSES, processes)]);
                let facts = AppFacts::read(&None, &notes, &[], containers);
                assert!(facts.instances.is_err() || list.starts_with(','));
                assert!(facts.own.get() >= 15);
                assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
            }
        }
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
        assert!(!AppFacts::read(&None, &None, &[], &containers).late_bound);
        containers[0].env[2].value_from = reads(names::MAX_OVERFLOW);
        assert!(AppFacts::read(&None, &None, &[], &containers).late_bound);
        containers[0].env.push(EnvVar {
            name: "DB_POOL_SIZE".into(),
            value: Some("9".into()),
            value_from: None,
        });
        assert!(!AppFacts::read(&None, &None, &[], &containers).late_bound);
    }

    #[test]
    fn a_proxy_before_the_app_is_passed_over() {
        let mut containers = app(&[("DB_POOL_SIZE", Some("20")), ("DB_MAX_OVERFLOW", Some("10"))]);
        containers.insert(0, container("istio-proxy", None));
        let facts = of(&[], &[], &containers);
        assert_eq!((facts.own.get(), facts.unbound.as_deref()), (30, Some("app")));
    }

    #[test]
    fn a_container_that_may_have_a_pool_as_well_is_counted_and_makes_the_pod_one_that_cannot_be_granted() {
        let reads = |annotation: &str| {
            let field_path = format!("metadata.annotations['{annotation}']");
            Some(ValueFrom { field_ref: Some(FieldRef { field_path }) })
        };
        let mut containers = app(&[("DB_POOL_SIZE", None), ("DB_MAX_OVERFLOW", None)]);
        containers[0].env[0].value_from = reads(names::POOL_SIZE);
        containers[0].env[1].value_from = reads(names::MAX_OVERFLOW);
        let granted = [(names::POOL_SIZE, "2"), (names::MAX_OVERFLOW, "1")];
        assert!(of(&granted, &[], &containers).late_bound);
        for other in ["worker", "istio-proxy"] {
            let mut containers = containers.clone();
            containers.extend(app(&[("DB_POOL_SIZE", Some("20")), ("DB_MAX_OVERFLOW", Some("10"))]));
            containers[1].name = other.into();
            let facts = of(&granted, &[], &containers);
            assert_eq!((facts.own.get(), facts.late_bound, facts.unbound), (33, false, None));
            let why = facts.taken.expect("a sentence");
            assert!(
                why.starts_with(&format!(
                    "{other} sets DB_POOL_SIZE or DB_MAX_OVERFLOW, but only app is counted"
                )),
                "{why}"
            );
            let named = [&granted[..], &[(names::CONTAINER, "app")]].concat();
            let facts = of(&named, &[], &containers);
            assert_eq!((facts.own.get(), facts.late_bound, facts.taken), (3, true, None));
        }
        // Bound once as the app, and no longer taken for it: both read the grant, and the bill is of one.
        containers.insert(0, Container { name: "unknown".into(), ..containers[0].clone() });
        let facts = of(&granted, &[], &containers);
        assert_eq!((facts.own.get(), facts.late_bound), (6, false));
    }

    #[test]
    fn what_the_gate_replaced_is_what_the_env_states() {
        let stated = |notes: &[(&str, &str)], env: &[(&str, Option<&str>)]| {
            let split = AppFacts::read(&None, &map(notes), &[], &app(env)).stated;
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
        let split = AppFacts::read(&None, &notes, &[], &containers).stated.expect("sizes");
        assert_eq!((split.pool_size.get(), split.max_overflow.get()), (4, 7));
    }

    #[test]
    fn what_a_pod_states_goes_by_its_profile_and_by_the_most_of_its_containers() {
        let stated = |notes: &[(&str, &str)], env: &[(&str, Option<&str>)]| {
            let mut other = app(env);
            other[0].name = "other".into();
            let split = of(notes, &[], &[app(&[]).remove(0), other.remove(0)]).stated;
            split.map(|split| (split.pool_size.get(), split.max_overflow.get()))
        };
        let profile = |name| [(names::PROFILE, name), (names::CONTAINER, "app,other")];
        assert_eq!(stated(&profile("n8n"), &[("DB_POSTGRESDB_POOL_SIZE", Some("7"))]), Some((7, 0)));
        assert_eq!(stated(&profile("PostgREST"), &[]), Some((10, 1)));
        assert_eq!(
            stated(&profile("MLflow"), &[("MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW", Some("0"))]),
            Some((5, 10))
        );
        assert_eq!(stated(&profile("Grafana"), &[]), None);
        assert_eq!(stated(&profile("Superset"), &[]), Some((15, 0)));
    }

    #[test]
    fn a_count_that_is_refused_multiplies_the_bill_all_the_same() {
        let own =
            |count: &str| AppFacts::read(&None, &map(&[(names::PROCESSES, count)]), &[], &app(&[])).own.get();
        assert_eq!([own("2000"), own(" 4 "), own("+2")], [30_000, 60, 30]);
        for unreadable in ["", "0", "-1", "four", "4.0", "1e3", "99999999999"] {
            assert_eq!(own(unreadable), u64::MAX, "{unreadable:?}");
        }
    }

    #[test]
    fn where_the_named_container_is_missing_any_may_be_the_app() {
        let mut containers = app(&[("DB_POOL_SIZE", Some("1")), ("DB_MAX_OVERFLOW", Some("0"))]);
        containers.extend(app(&[("DB_POOL_SIZE", Some("40"))]));
        let facts = AppFacts::read(&None, &map(&[(names::CONTAINER, "web")]), &[], &containers);
        assert_eq!((facts.own.get(), facts.late_bound), (50, false));
    }

    #[test]
    fn a_long_text_is_quoted_in_part() {
        let facts =
            AppFacts::read(&None, &map(&[(names::PROCESSES, &"9\u{1}".repeat(100_000))]), &[], &app(&[]));
        let why = facts.instances.expect_err("no count");
        assert!(why.len() < 400 && why.contains('…'), "{why}");
    }

    fn of(notes: &[(&str, &str)], init: &[Container], regular: &[Container]) -> AppFacts {
        AppFacts::read(&None, &map(notes), init, regular)
    }

    #[test]
    fn an_unknown_profile_and_one_without_a_bound_are_refused_not_ignored() {
        for (name, why) in [("Hikari", "must be one of"), ("NullPool", "CONNECTION LIMIT")] {
            let facts = of(&[(names::PROFILE, name)], &[], &app(&[]));
            assert_eq!(facts.own, Connections::MAX);
            assert!(facts.instances.expect_err("refused").contains(why), "{name}");
        }
    }

    #[test]
    fn a_product_is_read_by_its_own_variables_and_by_what_they_mean_to_it() {
        let own = |profile: &str, env: &[(&str, Option<&str>)]| {
            of(&[(names::PROFILE, profile)], &[], &app(env)).own.get()
        };
        let (size, overflow) = ("MLFLOW_SQLALCHEMYSTORE_POOL_SIZE", "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW");
        assert_eq!(own("MLflow", &[(size, Some("1")), (overflow, Some("0"))]), 11);
        assert_eq!(own("MLflow", &[(size, Some("0")), (overflow, Some("2"))]), 7);
        assert_eq!(own("MLflow", &[(size, Some("-1"))]), u64::MAX);
        assert_eq!(own("MLflow", &[("DB_POOL_SIZE", Some("50"))]), 15);
        assert_eq!(own("n8n", &[]), 2);
        assert_eq!(own("n8n", &[("DB_POSTGRESDB_POOL_SIZE", Some("0"))]), 10);
        assert_eq!(own("Grafana", &[]), u64::MAX);
        assert_eq!(own("Grafana", &[("GF_DATABASE_MAX_OPEN_CONN", Some("4"))]), 4);
        assert_eq!(own("PostgREST", &[("PGRST_DB_POOL", Some("4"))]), 5);
        assert_eq!(own("Rails", &[("RAILS_MAX_THREADS", Some("-1"))]), u64::MAX);
    }

    #[test]
    fn what_a_profile_makes_of_one_engine_multiplies() {
        let facts = |profile: &str| {
            let notes = [(names::PROFILE, profile), (names::PROCESSES, "2"), (names::ENGINES, "3")];
            of(&notes, &[], &app(&[]))
        };
        let seen = ["SQLAlchemy", "Airflow", "Temporal"].map(|profile| {
            let facts = facts(profile);
            (facts.processes, facts.engines, facts.instances.unwrap().get(), facts.own.get())
        });
        assert_eq!(seen, [(2, 3, 6, 90), (2, 6, 12, 180), (2, 6, 12, 180)]);
    }

    #[test]
    fn what_a_process_opens_beside_its_pools_is_part_of_each_size_and_of_the_bill() {
        let facts = |profile: &str, engines: &str, extra: &str| {
            let notes = [
                (names::PROFILE, profile),
                (names::PROCESSES, "2"),
                (names::ENGINES, engines),
                (names::EXTRA, extra),
            ];
            let facts = of(&notes, &[], &app(&[]));
            (facts.least().get(), facts.beside, facts.own.get())
        };
        assert_eq!(facts("SQLAlchemy", "1", "2"), (3, Some(2), 34));
        // Three among two engines are two with each.
        assert_eq!(facts("SQLAlchemy", "2", "3"), (3, Some(2), 66));
        assert_eq!(facts("PostgREST", "1", "3"), (5, Some(4), 28), "on top of what the profile knows");
        assert_eq!(facts("Keycloak", "1", "1"), (5, Some(1), 202));
        assert_eq!(facts("Superset", "1", "1"), (16, Some(1), 32));
        for refused in ["0", "-1", "x", "", "1001"] {
            let facts = of(&[(names::EXTRA, refused)], &[], &app(&[]));
            let why = facts.instances.expect_err(refused);
            assert!(why.starts_with("poolbudget.dev/extra-connections must be a whole number"), "{why}");
        }
        assert_eq!(of(&[(names::EXTRA, "x")], &[], &app(&[])).own, Connections::MAX);
    }

    #[test]
    fn a_lower_bound_of_a_pool_is_no_bound_of_it() {
        let env = [("KC_DB_POOL_MAX_SIZE", Some("7")), ("KC_DB_POOL_MIN_SIZE", Some("0"))];
        assert_eq!(of(&[(names::PROFILE, "Keycloak")], &[], &app(&env)).own.get(), 7);
    }

    #[test]
    fn an_older_name_counts_where_the_new_one_is_not_set_and_it_allows_more() {
        let (new, old) = ("AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE", "AIRFLOW__CORE__SQL_ALCHEMY_POOL_SIZE");
        let facts = |env: &[(&str, Option<&str>)]| of(&[(names::PROFILE, "Airflow")], &[], &app(env));
        let own = |env: &[(&str, Option<&str>)]| facts(env).own.get();
        // Two engines, each with 10 on top.
        assert_eq!(own(&[(old, Some("40"))]), 100);
        assert_eq!(own(&[(old, Some("1"))]), 30, "a version that does not read it takes its default");
        assert_eq!(own(&[(old, Some("40")), (new, Some("2"))]), 24, "the new one wins");
        assert_eq!(own(&[(old, Some("0"))]), u64::MAX);
        let split = facts(&[(old, Some("40"))]).stated.expect("sizes");
        assert_eq!((split.pool_size.get(), split.max_overflow.get()), (40, 10));
    }

    #[test]
    fn what_wins_over_the_variables_is_told_and_the_pod_may_open_anything() {
        use super::super::env::{Mount, Words};
        let facts = |profile: &str, change: &dyn Fn(&mut Container)| {
            let mut containers = app(&[("SQL_MAX_CONNS", Some("3"))]);
            change(&mut containers[0]);
            let facts = of(&[(names::PROFILE, profile)], &[], &containers);
            (facts.overruled, facts.own)
        };
        let mount = |path: &'static str| {
            move |c: &mut Container| c.volume_mounts.push(Mount { mount_path: path.into() })
        };
        let word = |word: &'static str| {
            move |c: &mut Container| c.args = Words { list: vec!["start".into(), word.into()], cut: false }
        };
        let variable = |name: &'static str, value: &'static str| {
            move |c: &mut Container| {
                c.env.push(EnvVar { name: name.into(), value: Some(value.into()), value_from: None });
            }
        };
        for wins in [
            facts("Temporal", &mount("/etc/temporal/config/config_template.yaml")),
            facts("Temporal", &mount("/etc/temporal/config/")),
            facts("Temporal", &variable("TEMPORAL_SERVER_CONFIG_FILE_PATH", "/c.yaml")),
            facts("Keycloak", &word("--db-pool-max-size=50")),
            facts("Keycloak", &word("--db-pool-max-size")),
            facts("HikariCP", &word("java -jar a.jar '--spring.datasource.hikari.maximumPoolSize=50'")),
            facts(
                "HikariCP",
                &variable("JAVA_TOOL_OPTIONS", "-Dspring.datasource.hikari.maximum-pool-size=9"),
            ),
        ] {
            assert!(wins.0.as_ref().is_some_and(|why| why.contains("wins over")), "{wins:?}");
            assert_eq!(wins.1, Connections::MAX);
        }
        for not in [
            facts("Temporal", &mount("/etc/temporal/config/dynamicconfig")),
            facts("Temporal", &mount("/etc/temporal/configuration")),
            facts("Temporal", &variable("TEMPORAL_SERVER_CONFIG_FILE_PATH", "")),
            facts("Keycloak", &word("--db-pool-max-size-of-another=5")),
            facts("Single", &word("--db-pool-max-size=50")),
        ] {
            assert_eq!(not.0, None);
        }
    }

    #[test]
    fn another_spelling_of_a_bound_counts_where_it_says_more() {
        let env = [
            ("SPRING_DATASOURCE_HIKARI_MAXIMUMPOOLSIZE", Some("5")),
            ("SPRING_DATASOURCE_HIKARI_MAXIMUM_POOL_SIZE", Some("30")),
        ];
        assert_eq!(of(&[(names::PROFILE, "HikariCP")], &[], &app(&env)).own.get(), 30);
    }

    #[test]
    fn a_bound_without_the_switch_that_it_needs_is_none() {
        let bound = ("LITELLM_PGBOUNCER_MAX_DB_CONNECTIONS", Some("5"));
        let own = |env: &[(&str, Option<&str>)]| of(&[(names::PROFILE, "LiteLLM")], &[], &app(env)).own.get();
        assert_eq!(own(&[bound]), u64::MAX);
        assert_eq!(own(&[bound, ("LITELLM_PGBOUNCER_ENABLED", Some("true"))]), 5);
        let percentage = ("GOTRUE_DB_CONN_PERCENTAGE", Some("80"));
        let bound = ("GOTRUE_DB_MAX_POOL_SIZE", Some("5"));
        let own = |env: &[(&str, Option<&str>)]| of(&[(names::PROFILE, "GoTrue")], &[], &app(env)).own.get();
        assert_eq!([own(&[bound]), own(&[bound, percentage])], [5, u64::MAX]);
    }

    #[test]
    fn what_no_variable_governs_has_the_size_that_it_states_and_reads_no_grant() {
        let facts = |notes: &[(&str, &str)]| of(notes, &[], &app(&[]));
        let superset = facts(&[(names::PROFILE, "Superset"), (names::PROCESSES, "4")]);
        assert_eq!((superset.least().get(), superset.own.get(), superset.is_counted()), (15, 60, true));
        let prisma = facts(&[(names::PROFILE, "Prisma"), (names::CONNECTIONS_PER_PROCESS, "7")]);
        assert_eq!((prisma.fixed, prisma.own.get()), (Some(Connections::new(7)), 7));
        let unknown = facts(&[(names::PROFILE, "Prisma")]);
        assert_eq!((unknown.fixed, unknown.own), (None, Connections::MAX));
        assert!(unknown.instances.expect_err("no size").contains("must say how many"));
    }

    fn container(name: &str, restart: Option<&str>) -> Container {
        Container { name: name.into(), restart_policy: restart.map(Into::into), ..Container::default() }
    }

    #[test]
    fn a_pod_has_the_processes_of_its_largest_moment() {
        let init = [container("first", None), container("proxy", Some("Always")), container("migrate", None)];
        let regular = [container("app", None), container("other", None)];
        let processes = |containers: &str, processes: &str| {
            let notes = [(names::CONTAINER, containers), (names::PROCESSES, processes)];
            of(&notes, &init, &regular).instances.unwrap().get()
        };
        assert_eq!(processes("app", "4"), 4);
        assert_eq!(processes("migrate,app", "4"), 4, "one number is of those that stay");
        assert_eq!(processes("migrate,app", "app=2,migrate=5"), 5, "the largest init container");
        assert_eq!(processes("app,other", "2"), 4, "containers run together");
        assert_eq!(processes("proxy,app", "app=2,proxy=3"), 5, "a sidecar stays");
        assert_eq!(
            processes("proxy,migrate,app", "proxy=2,migrate=6,app=3"),
            8,
            "the sidecar started before"
        );
        assert_eq!(processes("first,proxy", "first=6,proxy=2"), 6, "the sidecar starts later");
        assert_eq!(processes("app,other", "other=3"), 4, "without a number it is one");
    }

    #[test]
    fn what_each_container_may_open_adds_up_as_its_processes_do() {
        let sized = |name: &str, size: &str| {
            let mut container =
                app(&[("DB_POOL_SIZE", Some(size)), ("DB_MAX_OVERFLOW", Some("0"))]).remove(0);
            container.name = name.into();
            container
        };
        let own = |init: &str, app: &str, other: &str| {
            let notes = [(names::CONTAINER, "migrate,app,other"), (names::PROCESSES, "2")];
            let regular = [sized("app", app), sized("other", other)];
            of(&notes, &[sized("migrate", init)], &regular).own.get()
        };
        assert_eq!(own("3", "4", "5"), 18);
        assert_eq!(own("30", "4", "5"), 30);
        assert_eq!(own("0", "4", "5"), u64::MAX);
    }
}
