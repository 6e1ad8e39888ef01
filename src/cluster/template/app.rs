//! How the app of a pod is read: which containers open connections, how many processes each has, and what the variables
//! of its profile let them open.
//!
//! In: labels, annotations and containers. Out: the single facts that [`AppFacts`](super::AppFacts) puts together.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use super::{QUOTED, meant, shortened};
use crate::api::names;
use crate::budget::amount::{Connections, Instances};
use crate::budget::split::{Knobs, Split};
use crate::cluster::env::{Container, Environment, Setting, number};
use crate::cluster::processes::{Counted, Part, counted, told};
use crate::cluster::{overrides, unread};
use crate::profile::stated::Stated;
use crate::profile::{Gets, Knob, Pool, Profile, Reads, Sizing, Switch, Written};

/// The app of a pod: its labels, annotations and containers.
#[derive(Clone, Copy)]
pub(super) struct App<'a> {
    pub(super) labels: &'a BTreeMap<String, String>,
    pub(super) stated: &'a Stated<'a>,
    pub(super) init: &'a [Container],
    pub(super) regular: &'a [Container],
    /// The processes of each of the containers that open connections, in their order.
    pub(super) counted: &'a [Counted],
}

/// When a container runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Runs {
    /// Before all that follow.
    First,
    /// From its turn among the init containers on.
    Beside,
    /// After all init containers.
    Last,
}

/// A container that opens connections.
pub(super) struct Named<'a> {
    name: &'a str,
    runs: Runs,
    /// None where the pod has no container of that name.
    container: Option<&'a Container>,
    /// Its place among those that open connections.
    place: usize,
}

impl<'a> App<'a> {
    /// The containers that open connections, in the order in which they start. A named one that does not exist may be
    /// any of them.
    pub(super) fn named(&self) -> Vec<Named<'a>> {
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

    /// Counts the processes of each container. One that does not exist may be any.
    pub(super) fn count(&self, containers: &[Named<'a>]) -> Vec<Counted> {
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
    pub(super) fn processes_from(&self) -> Cow<'static, str> {
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

    pub(super) fn processes_remark(&self) -> Option<String> {
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
    pub(super) fn factors(&self) -> Option<(u32, u32)> {
        let processes =
            at_once(&self.named(), |container| self.counted.get(container.place)?.processes.map(u64::from))?;
        Some((u32::try_from(processes).ok()?, self.engines()?))
    }

    pub(super) fn pools(&self) -> Option<Instances> {
        let (processes, engines) = self.factors()?;
        Some(Instances::of(processes.checked_mul(engines)?, 1))
    }

    /// Connections of one instance, if no variable sets them.
    pub(super) fn fixed(&self) -> Option<Connections> {
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
    pub(super) fn beside(&self) -> Option<u32> {
        Some(self.extra()?.div_ceil(self.engines()?.max(1)))
    }

    fn knobs(&self) -> Option<Knobs> {
        Some(self.stated.profile()?.knobs().with_beside(self.beside()?))
    }

    /// What one pod may open by its own env, including any container that may have a pool. None if that has no bound.
    pub(super) fn own(&self) -> Option<Connections> {
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

    /// What it would open if it had a profile that reads one of its variables: the most of those profiles.
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
    pub(super) fn split(&self) -> Option<Split> {
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
    pub(super) fn unread(&self) -> Option<String> {
        let containers: Vec<_> = self.named().iter().filter_map(|named| named.container).collect();
        containers.into_iter().find_map(|container| {
            Some(unread::found(self.stated, self.environment(container))?.sentence(&container.name))
        })
    }

    /// Whether an annotation adds connections to those that the profile counts with each pool.
    pub(super) fn is_extra_stated(&self) -> bool {
        let engines = self.engines().unwrap_or(1).max(1);
        let by_profile = self.stated.profile().map_or(0, |profile| profile.extra.div_ceil(engines));
        self.beside().is_some_and(|beside| beside > by_profile)
    }

    /// What wins over the variables in one of its containers.
    pub(super) fn overruled(&self) -> Option<String> {
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

    pub(super) fn is_written(&self) -> bool {
        self.stated.profile().is_some_and(|profile| profile.written().is_some())
    }

    /// The first of its containers that does not read every variable of its profile from the grant.
    pub(super) fn unbound(&self) -> Option<&'a str> {
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

/// What a variable lets a pool open. A value that stops the app counts as if it were not set: another version of the
/// app may not mind it.
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

/// The same, but an older name may count if the present one is not set. Whether it does depends on the version.
fn with_former(knob: &Knob, setting: Setting, former: Setting) -> Connections {
    let own = opens(knob, setting);
    if setting == Setting::Default && former != Setting::Default { own.max(opens(knob, former)) } else { own }
}

/// The most that containers have at one time. An init container runs only beside the sidecars that started before it;
/// all others run together. None if one of them has no bound.
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
