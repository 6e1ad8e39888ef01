//! The summary that tools read: Ready, and whether a problem goes away by itself.
//!
//! In: the findings about a budget. Out: conditions by the conventions of kstatus, as Flux, Argo CD and `kubectl wait`
//! read them. Forbidden here: finding anything; a summary only repeats other conditions.

use crate::api::conditions::{ConditionReason as Reason, ConditionType as Type, Finding, Status};

/// Ready first, then Stalled or Reconciling if one of them is true. `comes_down` says whether pods are being replaced
/// to fit a changed spec.
#[must_use]
pub fn of(findings: &[Finding], comes_down: bool) -> Vec<Finding> {
    // While a human has to act, nothing is Reconciling, so at most one of the two is there.
    let beside = stalled(findings).or_else(|| comes_down.then(coming_down));
    [ready(findings)].into_iter().chain(beside).collect()
}

fn coming_down() -> Finding {
    Finding {
        kind: Type::Reconciling,
        status: Status::True,
        reason: Reason::ComingDown,
        message: "pods hold more than the changed spec allows; poolbudget replaces them one by one"
            .to_owned(),
    }
}

/// Ready is a budget that is accepted and feasible, with a status that can be written. Its pods may still wait for
/// others to terminate.
fn ready(findings: &[Finding]) -> Finding {
    let of = |finding: &Finding, status| Finding { kind: Type::Ready, status, ..finding.clone() };
    // The limit is being read.
    let awaits = |finding: &&Finding| finding.kind == Type::Accepted && finding.status == Status::Unknown;
    let against = findings.iter().find(|finding| is_against_ready(finding));
    let against = against.map(|finding| of(finding, Status::False));
    match against.or_else(|| findings.iter().find(awaits).map(|finding| of(finding, Status::Unknown))) {
        Some(finding) => finding,
        None => Finding::new(
            Type::Ready,
            Status::True,
            Reason::Ready,
            "the budget is in force and everything fits",
        ),
    }
}

fn is_against_ready(finding: &Finding) -> bool {
    let Finding { kind, status, reason, .. } = finding;
    match kind {
        Type::Accepted | Type::Feasible => *status == Status::False,
        // More is granted than the database allows.
        Type::LimitConfirmed => *reason == Reason::StatedTooHigh,
        Type::Blocked => *status == Status::True && *reason == Reason::StatusRefused,
        _ => false,
    }
}

/// What only a human can end: a spec that cannot be served, demand that does not fit, pods that nobody may end.
fn stalled(findings: &[Finding]) -> Option<Finding> {
    let by_hand = |finding: &&Finding| {
        is_against_ready(finding)
            || finding.status == Status::True
                && matches!(
                    finding.reason,
                    Reason::EvictionForbidden | Reason::Escaped | Reason::NotReplaced | Reason::BadRevision
                )
            || finding.kind == Type::Blocked
                && finding.status == Status::True
                && finding.reason == Reason::MoreThanGranted
    };
    let found = findings.iter().find(by_hand)?;
    Some(Finding { kind: Type::Stalled, status: Status::True, ..found.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(kind: Type, status: Status, reason: Reason) -> Finding {
        Finding::new(kind, status, reason, reason.name())
    }

    fn told(findings: &[Finding]) -> Vec<(&'static str, Status, &'static str)> {
        of(findings, false).iter().map(|f| (f.kind.name(), f.status, f.reason.name())).collect()
    }

    #[test]
    fn a_budget_is_ready_while_its_pods_only_wait() {
        let calm = [
            finding(Type::Accepted, Status::True, Reason::Accepted),
            finding(Type::Feasible, Status::True, Reason::Fits),
            finding(Type::Settled, Status::False, Reason::Draining),
            finding(Type::Blocked, Status::True, Reason::PodDisruptionBudget),
        ];
        assert_eq!(told(&calm), [("Ready", Status::True, "Ready")]);
        assert_eq!(of(&calm, true).last().map(|f| f.kind), Some(Type::Reconciling));
    }

    #[test]
    fn what_only_a_human_ends_is_stalled() {
        for (kind, status, reason, ready) in [
            (Type::Accepted, Status::False, Reason::InvalidLimit, false),
            (Type::Feasible, Status::False, Reason::DoesNotFit, false),
            (Type::Feasible, Status::False, Reason::CeilingDoesNotFit, false),
            (Type::LimitConfirmed, Status::False, Reason::StatedTooHigh, false),
            (Type::Blocked, Status::True, Reason::StatusRefused, false),
            (Type::Blocked, Status::True, Reason::EvictionForbidden, true),
            (Type::Blocked, Status::True, Reason::Escaped, true),
        ] {
            let finding = [finding(kind, status, reason)];
            assert_eq!(of(&finding, true), of(&finding, false), "what a human has to end is not worked in");
            let told = told(&finding);
            let first = if ready {
                ("Ready", Status::True, "Ready")
            } else {
                ("Ready", Status::False, reason.name())
            };
            assert_eq!(told, [first, ("Stalled", Status::True, reason.name())]);
        }
    }

    #[test]
    fn what_is_not_known_keeps_no_budget_from_being_ready() {
        let unknown = [finding(Type::LimitConfirmed, Status::Unknown, Reason::NotChecked)];
        assert_eq!(told(&unknown), [("Ready", Status::True, "Ready")]);
    }

    #[test]
    fn while_its_limit_is_being_read_it_is_not_known_whether_a_budget_is_ready() {
        let awaited = [finding(Type::Accepted, Status::Unknown, Reason::LimitNotRead)];
        assert_eq!(told(&awaited), [("Ready", Status::Unknown, "LimitNotRead")]);
    }
}
