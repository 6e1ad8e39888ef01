//! How the slots of a workload are written, and the columns of their table.
//!
//! In: its kind, its slots, and the most pods that it asks for. Out: `4 (3 + 1 surge)`.

use super::render::Align;
use crate::api::WorkloadKind;

/// What each workload gets, in the tables of `plan` and `status`.
pub(super) const COLUMNS: [(&str, Align); 6] = [
    ("WORKLOAD", Align::Left),
    ("REPLICAS", Align::Left),
    ("SLOTS", Align::Left),
    ("PER PROCESS", Align::Left),
    ("PER POD", Align::Right),
    ("HOLDS", Align::Right),
];

/// What the slots consist of, if a rollout takes more than the replicas.
pub(super) fn slots(kind: WorkloadKind, slots: u64, pods: u64) -> String {
    let surges = matches!(kind, WorkloadKind::Deployment | WorkloadKind::Rollout | WorkloadKind::DaemonSet);
    match slots.checked_sub(pods) {
        Some(surge) if surge > 0 && pods > 0 && surges => format!("{slots} ({pods} + {surge} surge)"),
        _ => slots.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surge_pods_are_told_apart_where_a_rollout_makes_them() {
        assert_eq!(slots(WorkloadKind::Deployment, 4, 3), "4 (3 + 1 surge)");
        assert_eq!(slots(WorkloadKind::Rollout, 12, 6), "12 (6 + 6 surge)");
        // All that it needs, fewer than it needs, and one that waits for its first replica.
        for (kind, all, pods) in [
            (WorkloadKind::Deployment, 3, 3),
            (WorkloadKind::Deployment, 2, 3),
            (WorkloadKind::Deployment, 1, 0),
            (WorkloadKind::CronJob, 4, 1),
        ] {
            assert_eq!(slots(kind, all, pods), all.to_string());
        }
    }
}
