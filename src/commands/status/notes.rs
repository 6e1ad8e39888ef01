//! What is worth mentioning about a budget: what does not fit, what blocks it, what is out of date, and what to do.
//!
//! In: a budget with its status, and who leads. Out: sentences, none if all is well.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::leader::Leader;
use crate::api::conditions::{ConditionReason as Reason, ConditionType, Verdict};
use crate::api::{DbConnectionBudget, QuarantineCause, Quarantined};
use crate::commands::render::Tone;

/// A sentence, its subject, and how bad it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) about: String,
    pub(super) text: String,
    pub(super) tone: Tone,
}

impl Note {
    fn new(about: &str, tone: Tone, text: impl Into<String>) -> Self {
        Self { about: about.to_owned(), text: text.into(), tone }
    }
}

/// Everything worth mentioning, the worst first.
pub(super) fn notes(budget: &DbConnectionBudget, leader: &Leader) -> Vec<Note> {
    let mut notes = Vec::new();
    let answered = budget.status.as_ref().and_then(|status| status.observed_generation);
    let asked = budget.metadata.generation;
    let behind = answered < asked;
    if behind {
        notes.push(Note::new("Outdated", Tone::Bad, outdated(answered, asked)));
    }
    match leader {
        Leader::Leads => {}
        // No answer, and no operator is known that could give one: then say that nothing is known.
        Leader::Unknown(why) if behind => notes.push(Note::new("Operator", Tone::Warn, why.clone())),
        Leader::Never(why) if behind => notes.push(Note::new("Operator", Tone::Bad, why.clone())),
        Leader::Never(_) | Leader::Unknown(_) => {}
        Leader::Nobody(why) => notes.push(Note::new("Operator", Tone::Bad, why.clone())),
    }
    let conditions = budget.status.iter().flat_map(|status| &status.conditions);
    notes.extend(conditions.filter_map(of_condition));
    for entry in budget.status.iter().flat_map(|status| &status.ledger.quarantine) {
        notes.extend(kept(entry).map(|text| Note::new("Quarantine", Tone::Warn, text)));
    }
    notes
}

fn kept(entry: &Quarantined) -> Option<String> {
    let why = match entry.cause {
        QuarantineCause::Vanished => "vanished before the operator saw its containers end",
        QuarantineCause::NotSeenToEnd => {
            "is Succeeded or Failed, but the operator did not see its containers end"
        }
        QuarantineCause::WhileNobodyLed | QuarantineCause::Several => "still count",
        QuarantineCause::Ended => "ended, and its last queries may still run",
        QuarantineCause::Restarted => {
            "restarted a container, and the last queries of the previous run may still run"
        }
    };
    let node = entry.node.as_ref().map_or_else(String::new, |node| format!(" after its node {node} reports"));
    Some(format!(
        "{} {why}: {} connections still count for {} s{node}",
        entry.pod, entry.connections, entry.seconds
    ))
}

fn outdated(answered: Option<i64>, asked: Option<i64>) -> String {
    match answered {
        None => "no operator has seen this budget yet, so the numbers above are not known".to_owned(),
        Some(answered) => format!(
            "the spec has changed since: this status is for generation {answered}, the spec is at generation {}",
            asked.unwrap_or_default()
        ),
    }
}

fn of_condition(condition: &Condition) -> Option<Note> {
    let kind = ConditionType::of(&condition.type_)?;
    let reason = Reason::of(&condition.reason);
    let tone = match (kind, kind.verdict(&condition.status)) {
        (
            ConditionType::Blocked
            | ConditionType::ForeignPods
            | ConditionType::EnvIgnored
            | ConditionType::OutsideClients,
            Verdict::Bad,
        ) => Tone::Warn,
        // More would be allowed: nothing is at risk.
        (ConditionType::LimitConfirmed, Verdict::Bad) if reason == Some(Reason::StatedTooLow) => Tone::Warn,
        (_, Verdict::Bad) => Tone::Bad,
        (ConditionType::Settled, _) if condition.status != "True" => Tone::Warn,
        // Where nobody asks, or the spec is not accepted, there is nothing to do here.
        (ConditionType::LimitConfirmed, _) if reason.is_some_and(is_unread) => Tone::Warn,
        _ => return None,
    };
    let text = match reason.and_then(|reason| advice(kind, reason)) {
        Some(advice) => format!("{}. {advice}", condition.message.trim_end_matches('.')),
        None => condition.message.clone(),
    };
    Some(Note::new(&condition.type_, tone, text))
}

/// Whether a limit that is to be read was not read.
const fn is_unread(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Forbidden
            | Reason::SecretInvalid
            | Reason::Unreachable
            | Reason::Refused
            | Reason::NotUnderstood
            | Reason::LimitNotRead
    )
}

/// What to do about a condition, if its own message does not say it.
fn advice(kind: ConditionType, reason: Reason) -> Option<&'static str> {
    Some(match (kind, reason) {
        (ConditionType::Feasible, Reason::DoesNotFit) => {
            "Run `poolbudget plan` with the manifests to see what would be enough"
        }
        (_, Reason::PodDisruptionBudget) => "poolbudget retries; `kubectl get pdb` shows what it waits for",
        (_, Reason::EvictionForbidden) => {
            "Set spec.evictionPolicy to Allowed, or delete one of those pods when it suits you"
        }
        (_, Reason::AboveLimit) => "Wait, or delete a pod that holds more than its share",
        (_, Reason::BadRevision) => "Fix the image, or run `kubectl rollout undo`",
        (ConditionType::Settled, Reason::Reclaiming | Reason::NoSlot | Reason::Waiting) => {
            "`poolbudget explain POD` says what a pod waits for"
        }
        (ConditionType::LimitConfirmed, reason) => return of_limit(reason),
        (ConditionType::OutsideClients, Reason::MoreThanReserved) => {
            "Give those that are workloads of this namespace the label of the budget"
        }
        _ => return None,
    })
}

/// What to do about a limit that was not read, or that the database contradicts.
const fn of_limit(reason: Reason) -> Option<&'static str> {
    Some(match reason {
        Reason::StatedTooHigh => "With a lower limit, poolbudget brings the pods down one by one",
        Reason::StatedTooLow => "Nothing is at risk; leave it if others use the rest",
        Reason::Forbidden => "poolbudget notices the right within a minute",
        Reason::SecretInvalid => "Correct the Secret; poolbudget reads it again within a minute",
        Reason::Unreachable => {
            "Check the network policies between the operator and the server, DNS, and the authority in caSecretRef"
        }
        Reason::Refused => "Correct the password, the role or the token in the Secret, or free a connection",
        Reason::NotUnderstood => {
            "Name the primary server itself, the console of PgBouncer or limit.supabase.project, or state \
             limit.connections"
        }
        Reason::LimitNotRead => {
            "The first reading takes some seconds; if it does not come, see whether the operator runs"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::conditions::Finding;
    use crate::api::{DbConnectionBudgetSpec, DbConnectionBudgetStatus};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;

    fn budget(generation: i64, observed: Option<i64>, findings: &[Finding]) -> DbConnectionBudget {
        let mut budget = DbConnectionBudget::new("main", DbConnectionBudgetSpec::default());
        budget.metadata.generation = Some(generation);
        let now = Time(Timestamp::UNIX_EPOCH);
        budget.status = Some(DbConnectionBudgetStatus {
            observed_generation: observed,
            conditions: findings.iter().map(|f| f.clone().into_condition(&[], observed, &now)).collect(),
            ..DbConnectionBudgetStatus::default()
        });
        budget
    }

    fn finding(kind: ConditionType, holds: bool, reason: Reason) -> Finding {
        Finding::new(kind, holds, reason, format!("the message of {}", kind.name()))
    }

    fn said(budget: &DbConnectionBudget, leader: &Leader) -> Vec<String> {
        notes(budget, leader).into_iter().map(|note| format!("{}: {}", note.about, note.text)).collect()
    }

    #[test]
    fn where_all_is_well_nothing_is_said() {
        let findings = [
            finding(ConditionType::Accepted, true, Reason::Accepted),
            finding(ConditionType::Feasible, true, Reason::Fits),
            finding(ConditionType::Settled, true, Reason::Settled),
            finding(ConditionType::Blocked, false, Reason::NotBlocked),
            finding(ConditionType::ForeignPods, false, Reason::NoForeignPods),
            finding(ConditionType::LimitConfirmed, true, Reason::Confirmed),
        ];
        assert_eq!(notes(&budget(3, Some(3), &findings), &Leader::Unknown("it may not be read".into())), []);
    }

    #[test]
    fn what_is_not_well_is_said_with_what_to_do_about_it() {
        let findings = [
            finding(ConditionType::Feasible, false, Reason::CeilingDoesNotFit),
            finding(ConditionType::Settled, false, Reason::NoSlot),
            finding(ConditionType::Blocked, true, Reason::AboveLimit),
            finding(ConditionType::Blocked, true, Reason::BadRevision),
        ];
        assert_eq!(
            said(&budget(3, Some(3), &findings), &Leader::Leads),
            [
                "Feasible: the message of Feasible",
                "Settled: the message of Settled. `poolbudget explain POD` says what a pod waits for",
                "Blocked: the message of Blocked. Wait, or delete a pod that holds more than its share",
                "Blocked: the message of Blocked. Fix the image, or run `kubectl rollout undo`",
            ]
        );
    }

    #[test]
    fn a_limit_that_is_contradicted_or_was_not_read_has_advice() {
        use crate::api::conditions::Status;
        let of = |status: Status, reason| {
            let finding = Finding::new(ConditionType::LimitConfirmed, status, reason, "why");
            let notes = notes(&budget(3, Some(3), &[finding]), &Leader::Leads);
            notes.into_iter().map(|note| (note.tone, note.text)).collect::<Vec<_>>()
        };
        for (status, reason, tone, advice) in [
            (
                Status::False,
                Reason::StatedTooHigh,
                Tone::Bad,
                "With a lower limit, poolbudget brings the pods down",
            ),
            (Status::False, Reason::StatedTooLow, Tone::Warn, "Nothing is at risk"),
            (Status::Unknown, Reason::Forbidden, Tone::Warn, "poolbudget notices the right within a minute"),
            (Status::Unknown, Reason::SecretInvalid, Tone::Warn, "Correct the Secret"),
            (Status::Unknown, Reason::Unreachable, Tone::Warn, "Check the network policies"),
            (Status::Unknown, Reason::Refused, Tone::Warn, "Correct the password, the role or the token"),
            (Status::Unknown, Reason::NotUnderstood, Tone::Warn, "Name the primary server itself"),
            (Status::Unknown, Reason::LimitNotRead, Tone::Warn, "The first reading takes some seconds"),
        ] {
            let said = of(status, reason);
            let [(said_tone, text)] = said.as_slice() else { panic!("{reason:?}: {said:?}") };
            assert_eq!(*said_tone, tone, "{reason:?}");
            assert!(text.starts_with(&format!("why. {advice}")), "{reason:?}: {text}");
        }
        for (status, reason) in [
            (Status::Unknown, Reason::NotChecked),
            (Status::Unknown, Reason::NotAccepted),
            (Status::True, Reason::Read),
            (Status::True, Reason::Confirmed),
        ] {
            assert_eq!(of(status, reason), [], "{reason:?}");
        }
    }

    #[test]
    fn clients_outside_of_the_budget_have_advice() {
        let findings = [finding(ConditionType::OutsideClients, true, Reason::MoreThanReserved)];
        let note = Note::new(
            "OutsideClients",
            Tone::Warn,
            "the message of OutsideClients. Give those that are workloads of this namespace the label of the budget",
        );
        assert_eq!(notes(&budget(3, Some(3), &findings), &Leader::Leads), [note]);
        let findings = [finding(ConditionType::OutsideClients, false, Reason::WithinReserved)];
        assert_eq!(notes(&budget(3, Some(3), &findings), &Leader::Leads), []);
    }

    #[test]
    fn a_status_that_is_behind_its_spec_is_called_so_with_what_is_known_of_the_operator() {
        let unknown = Leader::Unknown("whether an operator leads may not be read".into());
        assert_eq!(
            said(&budget(3, Some(2), &[]), &unknown),
            [
                "Outdated: the spec has changed since: this status is for generation 2, the spec is at generation 3",
                "Operator: whether an operator leads may not be read",
            ]
        );
        assert_eq!(
            said(&budget(1, None, &[]), &Leader::Leads),
            ["Outdated: no operator has seen this budget yet, so the numbers above are not known"]
        );
    }

    #[test]
    fn that_nobody_leads_is_said_even_where_the_status_looks_well() {
        let nobody = Leader::Nobody("no operator leads".into());
        assert_eq!(said(&budget(1, Some(1), &[]), &nobody), ["Operator: no operator leads"]);
    }
}
