//! What the status says of evidence: what pods report of their pools, beside what they were granted.
//!
//! In: a view. Out: numbers of each workload, what a successor must know, the condition `EnvIgnored`. Forbidden here:
//! asking a pod, judging an answer.

use super::view::View;
use super::wait::listed;
use crate::api::conditions::{ConditionReason as Reason, ConditionType, Finding, Status};
use crate::api::{DbConnectionBudgetSpec, EvidenceStatus, Excess, ObserveSpec};
use crate::budget::amount::Connections;
use crate::cluster::evidence::{Cause, Evidence, Verdict};
use crate::cluster::pod::PodRecord;

/// The most pods that the ledger names.
const MOST: usize = 256;

/// What the pods of each workload report; none where no pod has answered.
#[must_use]
pub fn of_each(view: &View) -> Vec<Option<EvidenceStatus>> {
    let mut all = vec![None; view.scene.workloads.len()];
    for (index, evidence) in &view.scene.evidence {
        let pods = (view.scene.pods.get(*index), view.scene.situation.pods.get(*index));
        let (Some(record), Some(pod)) = pods else { continue };
        let Some(of) = pod.workload.and_then(|workload| all.get_mut(workload)) else { continue };
        add(of.get_or_insert_default(), record, evidence);
    }
    all
}

fn add(sum: &mut EvidenceStatus, pod: &PodRecord, evidence: &Evidence) {
    sum.pods = sum.pods.saturating_add(1);
    match evidence.verdict {
        Verdict::Declared => {}
        Verdict::Acknowledged => sum.acknowledged = sum.acknowledged.saturating_add(1),
        Verdict::Ignored(_) => sum.ignored = sum.ignored.saturating_add(1),
    }
    sum.excess = sum.excess.saturating_add(pod.excess().wide());
    let reading = evidence.reading;
    for (sum, number) in [
        (&mut sum.open, reading.open),
        (&mut sum.in_use, reading.in_use),
        (&mut sum.waiting_checkouts, reading.waiting),
    ] {
        let Some(number) = number else { continue };
        let whole = i64::try_from(Evidence::in_whole_pod(pod, &reading, number)).unwrap_or(i64::MAX);
        *sum = Some(sum.unwrap_or(0).saturating_add(whole));
    }
}

/// What a successor must know, the largest first.
#[must_use]
pub fn excess(view: &View) -> Vec<Excess> {
    let pods = view.scene.pods.iter().filter(|pod| pod.excess() > Connections::ZERO);
    let mut all: Vec<Excess> = pods
        .map(|pod| Excess { uid: pod.uid.clone(), pod: pod.name.clone(), connections: pod.excess().wide() })
        .collect();
    all.sort_unstable_by(|a, b| b.connections.cmp(&a.connections).then_with(|| a.uid.cmp(&b.uid)));
    all.truncate(MOST);
    all
}

/// The condition `EnvIgnored`.
#[must_use]
pub fn finding(view: &View, spec: &DbConnectionBudgetSpec) -> Finding {
    let of = |status: Status, reason, message: String| {
        Finding::new(ConditionType::EnvIgnored, status, reason, message)
    };
    let ignoring = sentences(view);
    if !ignoring.is_empty() {
        return of(Status::True, Reason::MoreThanGranted, listed(ignoring));
    }
    let all_answer = spec.observe.as_ref().and_then(ObserveSpec::pool_status).is_some();
    let asked =
        view.scene.pods.iter().filter(|pod| (all_answer || pod.pool_status.is_some()) && !pod.gated).count();
    let answered = view.scene.evidence.len();
    if asked == 0 {
        let message = "no pod says where it answers how it uses its pools: set spec.observe.pods, or the annotation \
                       poolbudget.dev/pool-status in the pod template";
        return of(Status::Unknown, Reason::NotObserved, message.to_owned());
    }
    if answered == 0 {
        let message =
            format!("none of {asked} pods has given an answer that poolbudget understands{}", silent(view));
        return of(Status::Unknown, Reason::NoAnswer, message);
    }
    let message =
        format!("{answered} of {asked} pods answered, and those keep to their grants{}", silent(view));
    of(Status::False, Reason::WithinGrants, message)
}

/// Why one of the others has not answered.
fn silent(view: &View) -> String {
    let why = view.scene.silent.as_ref().map(|(pod, silence)| format!("; Pod/{pod}: {silence}"));
    why.unwrap_or_default()
}

/// A sentence for each pod that holds or allows more than its grant, the largest excess first.
#[must_use]
pub fn sentences(view: &View) -> Vec<String> {
    let mut ignoring: Vec<(&PodRecord, Option<Cause>)> = Vec::new();
    for (index, pod) in view.scene.pods.iter().enumerate() {
        let cause = match view.scene.evidence.get(&index).map(|evidence| evidence.verdict) {
            Some(Verdict::Ignored(cause)) => Some(cause),
            _ => None,
        };
        if cause.is_some() || pod.excess() > Connections::ZERO {
            ignoring.push((pod, cause));
        }
    }
    ignoring.sort_by(|(a, _), (b, _)| b.excess().cmp(&a.excess()).then_with(|| a.name.cmp(&b.name)));
    ignoring.into_iter().map(|(pod, cause)| sentence(pod, cause)).collect()
}

/// What a pod holds or allows beyond its grant, and why that may be.
#[must_use]
pub fn sentence(pod: &PodRecord, cause: Option<Cause>) -> String {
    let granted = pod.hold().bill();
    let held = pod.held();
    let counts = match cause {
        _ if pod.excess() == Connections::ZERO => format!("granted {granted}"),
        Some(_) => format!("granted {granted}, reports {held}"),
        // By the database server, or by a former leader.
        None => format!("granted {granted}, was seen to hold {held}"),
    };
    let hint = cause.map(|cause| format!(": {}", cause.hint(pod))).unwrap_or_default();
    format!("Pod/{} ({counts}){hint}", pod.name)
}
