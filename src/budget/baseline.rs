//! The baseline: the replica count at which a workload last converged.
//!
//! In: the count carried in the status, the current replicas, the sums of the workload's pods. Out: the new count. A
//! scale-down lowers it at once; it rises only when every pod that the workload wants is ready. Safety never depends on
//! it; it tells lost pods (which are owed a replacement) from new ones.

use super::amount::Pods;
use super::ledger::Standing;

/// The baseline of a workload.
///
/// `carried` is the count of the last status, none when the workload was not seen before;
/// `observed` says whether its controller has acted on the newest spec.
#[must_use]
pub fn baseline(carried: Option<Pods>, replicas: Pods, standing: &Standing, observed: bool) -> Pods {
    let converged = observed && standing.whole && standing.admitted == replicas;
    match carried {
        _ if converged => replicas,
        Some(count) => count.min(replicas),
        None => standing.ready.min(replicas),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(admitted: u32, ready: u32, whole: bool) -> Standing {
        Standing { admitted: Pods::new(admitted), ready: Pods::new(ready), whole, ..Standing::default() }
    }

    #[test]
    fn a_workload_seen_for_the_first_time_starts_at_its_ready_pods() {
        assert_eq!(baseline(None, Pods::new(4), &standing(3, 2, false), true), Pods::new(2));
    }

    #[test]
    fn a_scale_down_lowers_it_at_once() {
        assert_eq!(baseline(Some(Pods::new(6)), Pods::new(1), &standing(6, 6, true), false), Pods::new(1));
    }

    #[test]
    fn it_rises_only_when_all_that_is_wanted_stands_ready() {
        assert_eq!(baseline(Some(Pods::new(2)), Pods::new(4), &standing(4, 3, false), true), Pods::new(2));
        assert_eq!(baseline(Some(Pods::new(2)), Pods::new(4), &standing(4, 4, true), true), Pods::new(4));
    }

    #[test]
    fn it_does_not_rise_on_a_spec_that_the_controller_has_not_seen() {
        assert_eq!(baseline(Some(Pods::new(2)), Pods::new(4), &standing(4, 4, true), false), Pods::new(2));
    }

    #[test]
    fn a_lost_pod_does_not_lower_it() {
        assert_eq!(baseline(Some(Pods::new(4)), Pods::new(4), &standing(3, 3, true), true), Pods::new(4));
    }
}
