//! What a pod says of its pools, beside what it was granted.
//!
//! In: the record of a pod and a [`Reading`]. Out: an [`Evidence`]: the verdict, and what the pod holds or may hold by its
//! own word. Evidence only ever adds to what a pod counts for; it never makes a pod count for less than its grant.

use super::pod::PodRecord;
use crate::budget::amount::Connections;
use crate::evidence::{Covers, Maximum, Reading};
use crate::profile::Profile;

/// Whether a pod keeps to its grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was granted a size, and nothing that it says contradicts that.
    Declared,
    /// Its own maximum is within what it was granted.
    Acknowledged,
    /// Its own maximum, or what it has open, is more.
    Ignored(Cause),
}

/// What most likely makes a pod hold more than it was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its pool has no bound.
    Unbounded,
    /// Its maximum is that of the library without any setting.
    Default,
    /// Its maximum is so many times what was granted: there are more pools than are counted.
    MorePools(u64),
    /// Its maximum is another number.
    OtherSize,
    /// It has more open than it was granted, and does not say its maximum.
    Open,
    /// It has more open than its own maximum.
    MoreOpen,
}

/// What is known of a pod by its own answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Its last answer.
    pub reading: Reading,
    /// The gravest verdict so far: what was ignored once is not taken back.
    pub verdict: Verdict,
    /// The most that the whole pod was seen to hold, or to be able to hold.
    pub seen: Connections,
}

impl Evidence {
    /// What an answer says of a pod.
    #[must_use]
    pub fn of(pod: &PodRecord, reading: Reading) -> Self {
        let granted = pod.grant.unwrap_or_else(|| pod.own_grant());
        let each = u64::from(granted.pool_size).saturating_add(u64::from(granted.max_overflow));
        let bill = pod.hold().bill();
        let pools = covered(pod, reading.covers);
        // The share of one pool, rounded up: pools that the app has not opened yet say nothing.
        let by_maximum = match reading.maximum {
            Some(Maximum::Of(most)) => pod.bill_of(most.div_ceil(pools), 0),
            Some(Maximum::Unbounded) => Connections::ZERO,
            None => reading.least.map_or(Connections::ZERO, |least| pod.bill_of(least.div_ceil(pools), 0)),
        };
        // What is open in one process says nothing about the others; those are taken to keep to their grant.
        let more = reading.open.unwrap_or(0).saturating_sub(each.saturating_mul(pools));
        let by_open = bill.plus(Connections::new(more));
        let seen = bill.max(by_maximum).max(by_open);
        let verdict = match reading.maximum {
            Some(Maximum::Unbounded) => Verdict::Ignored(Cause::Unbounded),
            Some(Maximum::Of(most)) if by_maximum > bill => Verdict::Ignored(cause(pod, most, each, pools)),
            None if by_maximum > bill => {
                let usual = pod.app.usual().pool_size.get().saturating_mul(pools);
                let is_usual = reading.least == Some(usual);
                Verdict::Ignored(if is_usual { Cause::Default } else { Cause::OtherSize })
            }
            None if by_open > bill => Verdict::Ignored(Cause::Open),
            _ if by_open > bill => Verdict::Ignored(Cause::MoreOpen),
            Some(Maximum::Of(_)) => Verdict::Acknowledged,
            None => Verdict::Declared,
        };
        Self { reading, verdict, seen }
    }

    /// This answer after an `earlier` one.
    #[must_use]
    pub fn after(self, earlier: Self) -> Self {
        let verdict = match earlier.verdict {
            Verdict::Ignored(_) if !matches!(self.verdict, Verdict::Ignored(_)) => earlier.verdict,
            _ => self.verdict,
        };
        Self { verdict, seen: self.seen.max(earlier.seen), ..self }
    }

    /// What the app uses now, of what the whole pod has, if each of its processes uses as much as the one that answered.
    #[must_use]
    pub fn in_whole_pod(pod: &PodRecord, reading: &Reading, number: u64) -> u64 {
        let all = pod.app.pools.map_or(1, |pools| u64::from(pools.get()));
        number.saturating_mul((all / covered(pod, reading.covers)).max(1))
    }
}

/// How many of the pools of a pod an answer covers.
fn covered(pod: &PodRecord, covers: Covers) -> u64 {
    let pools = match covers {
        Covers::Pool => 1,
        Covers::Process => u64::from(pod.app.engines),
        Covers::Pod => pod.app.pools.map_or(1, |pools| u64::from(pools.get())),
    };
    pools.max(1)
}

/// What makes these pools have a maximum of `most` where each of them was granted `each`.
fn cause(pod: &PodRecord, most: u64, each: u64, pools: u64) -> Cause {
    let usual = pod.app.usual();
    let usual = usual.pool_size.plus(usual.max_overflow).get();
    let granted = each.saturating_mul(pools);
    if most == usual.saturating_mul(pools) {
        Cause::Default
    } else if granted > 0 && most.is_multiple_of(granted) {
        Cause::MorePools(most / granted)
    } else {
        Cause::OtherSize
    }
}

impl Cause {
    /// The likely cause and what to do, as a clause.
    #[must_use]
    pub fn hint(self, pod: &PodRecord) -> String {
        let variables = || {
            let bounds = pod.app.profile.into_iter().flat_map(Profile::bounds);
            let names: Vec<&str> = bounds.map(|(name, _)| name).filter(|name| !name.is_empty()).collect();
            if names.is_empty() {
                "the variables that poolbudget sets".to_owned()
            } else {
                names.join(" and ")
            }
        };
        match self {
            Self::Unbounded => {
                "its pool has no bound (NullPool, or no maximum): use a pool with one".to_owned()
            }
            Self::Default => format!("that is the library's default: the app does not read {}", variables()),
            Self::MorePools(times) => format!(
                "that is {times} times its grant: it has more pools than poolbudget counts (engines, or processes), or does \
                 not read {}",
                variables()
            ),
            Self::OtherSize => {
                format!("its size comes from its code or from another setting, not from {}", variables())
            }
            Self::Open => format!(
                "it has more open than it was granted: it does not read {}, or has more pools than poolbudget counts",
                variables()
            ),
            Self::MoreOpen => {
                "it has more connections open than its pool allows: connections outside of the pool, or more pools than \
                 poolbudget counts"
                    .to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::pod::PodView;

    /// A pod with these annotations that was granted 2 + 3, with that many pools of five.
    fn pod(pools: u64, notes: &serde_json::Value) -> PodRecord {
        let late = |key: &str| serde_json::json!({"fieldRef": {"fieldPath": format!("metadata.annotations['poolbudget.dev/{key}']")}});
        let mut annotations = serde_json::json!({"poolbudget.dev/pool-size": "2", "poolbudget.dev/max-overflow": "3",
            "poolbudget.dev/connections": (5 * pools).to_string()});
        for (key, value) in notes.as_object().expect("annotations") {
            annotations[key] = value.clone();
        }
        let object = serde_json::json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u", "resourceVersion": "7",
                "labels": {"poolbudget.dev/budget": "main"}, "annotations": annotations},
            "spec": {"containers": [{"name": "app", "env": [
                {"name": "DB_POOL_SIZE", "valueFrom": late("pool-size")},
                {"name": "DB_MAX_OVERFLOW", "valueFrom": late("max-overflow")}]}]},
        });
        let view: PodView = serde_json::from_value(object).expect("a pod");
        PodRecord::read(&view).expect("a record")
    }

    /// A pod with one pool that was granted so many.
    fn pod_of(size: u32) -> PodRecord {
        let mut pod = pod(1, &serde_json::json!({}));
        pod.grant =
            Some(super::super::pod::GrantNote { pool_size: size, max_overflow: 0, connections: size.into() });
        pod
    }

    fn reading(covers: Covers, maximum: Option<u64>, open: u64) -> Reading {
        let maximum = maximum.map(Maximum::Of);
        Reading { covers, maximum, least: None, open: Some(open), in_use: None, waiting: None }
    }

    fn judged(pod: &PodRecord, covers: Covers, maximum: Option<u64>, open: u64) -> (Verdict, u64) {
        let evidence = Evidence::of(pod, reading(covers, maximum, open));
        (evidence.verdict, evidence.seen.get())
    }

    #[test]
    fn a_pod_with_one_pool_keeps_to_its_grant_or_not() {
        let pod = pod(1, &serde_json::json!({}));
        let of = |maximum, open| judged(&pod, Covers::Pool, maximum, open);
        assert_eq!(of(Some(5), 2), (Verdict::Acknowledged, 5));
        assert_eq!(of(Some(3), 3), (Verdict::Acknowledged, 5));
        assert_eq!(of(None, 5), (Verdict::Declared, 5));
        assert_eq!(of(None, 6), (Verdict::Ignored(Cause::Open), 6));
        assert_eq!(of(Some(5), 7), (Verdict::Ignored(Cause::MoreOpen), 7));
        assert_eq!(of(Some(15), 0), (Verdict::Ignored(Cause::Default), 15));
        assert_eq!(of(Some(10), 0), (Verdict::Ignored(Cause::MorePools(2)), 10));
        assert_eq!(of(Some(8), 30), (Verdict::Ignored(Cause::OtherSize), 30));
    }

    #[test]
    fn what_one_process_says_of_its_maximum_is_so_of_all_and_what_it_has_open_only_of_itself() {
        let pod = pod(4, &serde_json::json!({"poolbudget.dev/processes": "4"}));
        for covers in [Covers::Pool, Covers::Process] {
            assert_eq!(judged(&pod, covers, Some(5), 5), (Verdict::Acknowledged, 20));
            assert_eq!(judged(&pod, covers, Some(15), 0), (Verdict::Ignored(Cause::Default), 60));
            assert_eq!(judged(&pod, covers, None, 12), (Verdict::Ignored(Cause::Open), 27));
        }
        assert_eq!(judged(&pod, Covers::Pod, Some(20), 20), (Verdict::Acknowledged, 20));
        assert_eq!(judged(&pod, Covers::Pod, Some(21), 0), (Verdict::Ignored(Cause::OtherSize), 24));
        let of_process = reading(Covers::Process, None, 3);
        assert_eq!(Evidence::in_whole_pod(&pod, &of_process, 3), 12);
        assert_eq!(Evidence::in_whole_pod(&pod, &reading(Covers::Pod, None, 3), 3), 3);
    }

    #[test]
    fn a_process_with_two_engines_answers_for_both() {
        let pod = pod(2, &serde_json::json!({"poolbudget.dev/engines": "2"}));
        assert_eq!(judged(&pod, Covers::Process, Some(10), 0), (Verdict::Acknowledged, 10));
        assert_eq!(judged(&pod, Covers::Pool, Some(10), 0), (Verdict::Ignored(Cause::MorePools(2)), 20));
    }

    #[test]
    fn a_pool_that_is_larger_than_its_grant_is_found_out_although_it_does_not_say_its_maximum() {
        let pod = pod(1, &serde_json::json!({}));
        let of = |least| {
            let evidence =
                Evidence::of(&pod, Reading { least: Some(least), ..reading(Covers::Pool, None, 0) });
            (evidence.verdict, evidence.seen.get())
        };
        assert_eq!(of(2), (Verdict::Declared, 5));
        assert_eq!(of(20), (Verdict::Ignored(Cause::OtherSize), 20));
        let small = pod_of(2);
        let reading = Reading { least: Some(5), ..reading(Covers::Pool, None, 0) };
        assert_eq!(
            Evidence::of(&small, reading).verdict,
            Verdict::Ignored(Cause::Default),
            "SQLAlchemy's pool_size"
        );
    }

    #[test]
    fn a_pool_without_a_bound_counts_for_what_was_seen() {
        let pod = pod(1, &serde_json::json!({}));
        let unbounded =
            |open| Reading { maximum: Some(Maximum::Unbounded), ..reading(Covers::Pool, None, open) };
        let (idle, busy) = (Evidence::of(&pod, unbounded(0)), Evidence::of(&pod, unbounded(9)));
        assert_eq!((idle.verdict, idle.seen.get()), (Verdict::Ignored(Cause::Unbounded), 5));
        assert_eq!((busy.verdict, busy.seen.get()), (Verdict::Ignored(Cause::Unbounded), 9));
    }

    #[test]
    fn what_was_ignored_once_is_not_taken_back() {
        let pod = pod(1, &serde_json::json!({}));
        let bad = Evidence::of(&pod, reading(Covers::Pool, Some(15), 0));
        let good = Evidence::of(&pod, reading(Covers::Pool, Some(5), 1));
        let after = good.after(bad);
        assert_eq!((after.verdict, after.seen, after.reading), (bad.verdict, bad.seen, good.reading));
        assert_eq!(bad.after(good).verdict, bad.verdict);
    }

    #[test]
    fn an_answer_never_lowers_what_a_pod_counts_for() {
        let pod = pod(1, &serde_json::json!({}));
        for covers in [Covers::Pool, Covers::Process, Covers::Pod] {
            for maximum in [None, Some(0), Some(1), Some(u64::MAX)] {
                for open in [0, 1, u64::MAX] {
                    assert!(judged(&pod, covers, maximum, open).1 >= 5, "{covers:?} {maximum:?} {open}");
                }
            }
        }
    }

    #[test]
    fn a_hint_names_the_variables_of_the_profile() {
        let default = pod(1, &serde_json::json!({}));
        assert_eq!(
            Cause::Default.hint(&default),
            "that is the library's default: the app does not read DB_POOL_SIZE and DB_MAX_OVERFLOW"
        );
        let own = pod(
            1,
            &serde_json::json!({"poolbudget.dev/profile": "node-postgres",
            "poolbudget.dev/pool-size-env": "PG_MAX"}),
        );
        assert!(Cause::OtherSize.hint(&own).contains("not from the variables that poolbudget sets"));
    }
}
