//! A pod in words: what it holds and why, or what it waits for.
//!
//! In: a pod, and a look at its budget. Out: an explanation. The reasons are those of the decision; a refusal has the
//! same sentences as the pod's event.

use super::reclaim;
use super::share;
use super::sight::{Look, Sight};
use super::words::{Explanation, State, count, product};
use crate::api::conditions::ConditionType;
use crate::api::{EvictionPolicy, Mode};
use crate::budget::amount::{Connections, Pods};
use crate::budget::burst::{CALM, LONGEST};
use crate::budget::grant::{PATIENCE, Refusal, Want};
use crate::budget::ledger::Hold;
use crate::budget::plan::{Feasibility, Share};
use crate::budget::queue::{self, Class};
use crate::budget::rollout::Nature;
use crate::cluster::pod::{GrantNote, PodRecord};
use crate::controller::evict;
use crate::controller::view::{Assessed, View};
use crate::controller::wait::Wait;
use crate::page::detail::{PodRow, PodState};

/// Explains a labelled pod.
pub(super) fn explain(sight: &Sight, record: &PodRecord) -> Explanation {
    let mut told = match sight.look(record.budget()) {
        Ok(look) => with_budget(sight, record, &look),
        Err(why) => without_budget(record, &why),
    };
    told.budget = Some(record.budget().to_owned());
    told
}

fn told(record: &PodRecord, state: State, summary: impl Into<String>) -> Explanation {
    Explanation::new("Pod", &record.name, &record.namespace, state, summary.into())
}

fn without_budget(record: &PodRecord, why: &str) -> Explanation {
    if record.ended {
        return ended(record);
    }
    match record.hold() {
        Hold::Waiting | Hold::InFlight(_) => told(record, State::Waiting, why),
        Hold::Granted(bill) => {
            let held = count(bill.get(), "connection");
            told(record, State::Granted, format!("{held} for as long as it lives; but {why}"))
        }
        Hold::Escaped(own) => told(record, State::Foreign, format!("it may hold {}; {why}", own.in_words())),
    }
}

fn ended(record: &PodRecord) -> Explanation {
    told(record, State::Ended, "all its containers have ended, so it holds no connection")
}

fn with_budget(sight: &Sight, record: &PodRecord, look: &Look) -> Explanation {
    let view = &look.view;
    let place = view.scene.pods.iter().position(|pod| pod.uid == record.uid);
    let Some(pod) = place else { return ended(record) };
    let seen = Seen { sight, look, view, pod, record };
    let standing = seen.standing();
    let mut told = told(record, standing.state, standing.summary);
    told.point("budget", share::budget(look));
    if let Some(workload) = seen.workload_words() {
        told.point("workload", workload);
    }
    if let Some(profile) = share::profile(record.app.profile) {
        told.point("profile", profile);
    }
    if record.app.instances.is_ok() {
        told.point("processes", format!("{}, {}", record.app.processes, record.app.processes_from));
    }
    seen.sizes(&mut told);
    seen.wait(&mut told);
    seen.future(&mut told);
    told
}

/// What a pod is to its budget, in short.
pub(super) fn standing(sight: &Sight, look: &Look, pod: usize) -> Option<Standing> {
    let record = look.view.scene.pods.get(pod)?;
    Some(Seen { sight, look, view: &look.view, pod, record }.standing())
}

/// A pod that has not ended, for the page.
pub(super) fn row(sight: &Sight, look: &Look, index: usize) -> Option<PodRow> {
    let Standing { state, summary, note } = standing(sight, look, index)?;
    let state = match state {
        State::Waiting => PodState::Waiting,
        State::BeingGranted => PodState::Granting,
        State::Granted => PodState::Granted,
        State::Foreign => PodState::Foreign,
        State::Counted => PodState::Counted,
        State::Draining => PodState::Draining,
        State::Ended | State::Governed | State::NotGoverned => return None,
    };
    let core = look.view.scene.situation.pods.get(index)?;
    let workload = core.workload.and_then(|w| Some(look.view.workload(w)?.facts.key.to_string()));
    let bill = core.hold.bill();
    Some(PodRow {
        name: core.name.clone(),
        workload,
        state,
        holds: (bill != Connections::MAX).then(|| bill.get()),
        reason: (state == PodState::Waiting).then_some(note),
        text: summary,
    })
}

/// What a pod is to its budget.
pub(super) struct Standing {
    pub(super) state: State,
    /// In a sentence.
    pub(super) summary: String,
    /// In a word or two, if the state alone does not say it.
    pub(super) note: String,
}

impl Standing {
    fn new(state: State, summary: impl Into<String>) -> Self {
        Self { state, summary: summary.into(), note: String::new() }
    }
}

/// A pod within a look at its budget.
struct Seen<'a> {
    sight: &'a Sight,
    look: &'a Look,
    view: &'a View,
    /// Its index among the pods of the situation.
    pod: usize,
    record: &'a PodRecord,
}

impl Seen<'_> {
    fn core(&self) -> Option<&crate::budget::ledger::Pod> {
        self.view.scene.situation.pods.get(self.pod)
    }

    fn refusal(&self) -> Option<Refusal> {
        let refused = &self.view.decision.grants.refused;
        refused.iter().find(|(pod, _)| *pod == self.pod).map(|(_, refusal)| *refusal)
    }

    fn want(&self) -> Option<&Want> {
        self.view.decision.grants.wants.iter().find(|want| want.pod == self.pod)
    }

    fn standing(&self) -> Standing {
        let (hold, terminating) =
            self.core().map_or((Hold::Waiting, false), |pod| (pod.hold, pod.terminating));
        match hold {
            Hold::Waiting if terminating => Standing::new(
                State::Ended,
                "it was deleted while it waited at the gate, so it never held a connection",
            ),
            Hold::Waiting => self.waiting(),
            hold if terminating => {
                let held = hold.bill().in_words();
                let when = reclaim::due(self.record.due, self.sight.now);
                let summary = format!("it is terminating and counts as {held} until it is gone,{when}");
                Standing { note: when.trim_start().to_owned(), ..Standing::new(State::Draining, summary) }
            }
            Hold::InFlight(bill) => {
                let held = count(bill.get(), "connection");
                Standing::new(State::BeingGranted, format!("{held}: the grant is recorded and on its way"))
            }
            Hold::Granted(bill) => {
                let state = if self.view.mode == Mode::Observe { State::Counted } else { State::Granted };
                let held = count(bill.get(), "connection");
                match self.core().map_or(Connections::ZERO, |pod| pod.excess) {
                    Connections::ZERO => Standing::new(state, held),
                    excess => {
                        let more = format!("{held}, but it reports {} more", excess.in_words());
                        let summary =
                            format!("{more}, which count until it is gone; see condition EnvIgnored");
                        Standing {
                            note: "holds more than its grant".to_owned(),
                            ..Standing::new(state, summary)
                        }
                    }
                }
            }
            Hold::Escaped(own) => {
                let summary = format!("it runs without a grant and may hold {} connections", own.in_words());
                Standing::new(State::Foreign, summary)
            }
        }
    }

    fn waiting(&self) -> Standing {
        if let Some(refusal) = self.refusal() {
            let wait = Wait::of(self.view, self.pod, refusal);
            let note = wait.reason().name().to_owned();
            return Standing { note, ..Standing::new(State::Waiting, wait.to_string()) };
        }
        let granted = self.view.decision.grants.granted.iter().find(|grant| grant.pod == self.pod);
        let bill = granted.map_or(Connections::ZERO, |grant| grant.bill);
        let what = match self.view.mode {
            Mode::Gate => format!("it fits and is granted {} now", count(bill.get(), "connection")),
            mode => format!("mode {mode:?} holds no pod back, so the operator opens its gate now"),
        };
        let doubt =
            "if it still waits after some seconds, no replica of the operator leads (see poolbudget status)";
        Standing::new(State::BeingGranted, format!("{what}; {doubt}"))
    }

    fn workload_words(&self) -> Option<String> {
        let core = self.core()?;
        let name = &self.view.workload(core.workload?)?.of.demand.name;
        let revision = if core.current { "its newest revision" } else { "an older revision" };
        let ready = if core.ready { "ready" } else { "not ready" };
        Some(if core.hold == Hold::Waiting {
            format!("{name}, {revision}")
        } else {
            format!("{name}, {revision}, {ready}")
        })
    }

    /// What it has, what pods of its workload get now, and why.
    fn sizes(&self, told: &mut Explanation) {
        let Some(core) = self.core() else { return };
        if let (Some(note), Hold::Granted(bill)) = (&self.record.grant, core.hold) {
            told.point("size", size(self.record, note, bill));
        }
        // A pod that is ending, or that bypassed the gate, will get no size.
        if core.terminating || matches!(core.hold, Hold::Escaped(_)) {
            return;
        }
        let Some(workload) = core.workload else { return };
        let Some(Assessed { of, assessment, .. }) = self.view.workload(workload) else { return };
        let plan = &assessment.share;
        let now = share::size(&self.look.budget, self.record.app.knobs(), &of.demand, plan);
        told.point("share", self.compared(core.hold, plan, &now));
        if let Some(least) = share::least(&of.demand) {
            told.point("least", least);
        }
        told.point("why", share::why(self.view, workload));
        if let Some(slots) = share::slots(self.sight, self.look, workload) {
            told.point("slots", slots);
        }
    }

    /// Compares what it holds with what a pod of its workload gets now.
    fn compared(&self, hold: Hold, plan: &Share, now: &str) -> String {
        let share = plan.bill;
        if self.view.mode != Mode::Gate {
            return format!(
                "the plan gives a pod of its workload {now}; mode {:?} evicts no pod for that",
                self.view.mode
            );
        }
        match hold {
            Hold::Granted(bill) if bill == share => "that is what a pod of its workload gets now".to_owned(),
            Hold::Granted(bill) if bill > share => {
                let fate = match self.look.budget.spec.eviction_policy {
                    _ if plan.nature != Nature::Service => {
                        "nothing would redo its work, so it is not evicted"
                    }
                    EvictionPolicy::Allowed => "it may be evicted when another pod needs the room",
                    EvictionPolicy::Forbidden => {
                        "evictionPolicy is Forbidden, so it stays until you delete it"
                    }
                };
                format!("{} more than a pod of its workload gets now ({now}); {fate}", bill.minus(share))
            }
            Hold::Granted(_) => {
                format!(
                    "a pod of its workload gets more now ({now}); this pod keeps its size, its replacement gets the new one"
                )
            }
            _ => format!("a pod of its workload gets {now}"),
        }
    }

    /// The sum that does not fit, and its place in the queue.
    fn wait(&self, told: &mut Explanation) {
        let Some(refusal) = self.refusal() else { return };
        if let Some(want) = self.want() {
            told.point("sum", sum(want, self.view.decision.usable));
        }
        if let Some(turn) = self.turn(refusal) {
            told.point("turn", turn);
        }
        match refusal {
            Refusal::NoRoom { .. } => told.point("next", reclaim::for_the_refused(self.sight, self.look)),
            Refusal::NoSlot => told.point("next", self.for_a_slot()),
            Refusal::Behind => told.point("next", self.behind()),
            Refusal::Burst => told.point("next", until_calm()),
            Refusal::NoWorkload => {}
        }
        let conditions = self.look.budget.status.iter().flat_map(|status| &status.conditions);
        for blocked in conditions.filter(|c| c.type_ == ConditionType::Blocked.name() && c.status == "True") {
            told.point("blocked", blocked.message.clone());
        }
    }

    fn turn(&self, refusal: Refusal) -> Option<String> {
        let core = self.core()?;
        let class = match refusal {
            Refusal::NoRoom { .. } => self.want()?.class,
            Refusal::Behind => Class::Rest,
            Refusal::NoSlot => Class::Beyond,
            Refusal::Burst => Class::Task,
            Refusal::NoWorkload => return None,
        };
        let order = queue::order(&self.view.scene.situation.pods);
        let place = order.iter().position(|pod| *pod == self.pod)? + 1;
        Some(format!(
            "number {place} of {} waiting pods, oldest first, after {} s; {}",
            order.len(),
            core.age,
            of_class(class)
        ))
    }

    fn for_a_slot(&self) -> String {
        let workload = self.core().and_then(|core| core.workload);
        let standing = workload.and_then(|w| Some(&self.view.workload(w)?.assessment.standing));
        let stand = standing.map_or(Pods::ZERO, |standing| standing.admitted);
        if let Feasibility::Infeasible(_) = self.view.decision.plan.feasibility {
            return format!(
                "{} are running; reduce the replicas or raise the limit",
                count(stand.get(), "pod")
            );
        }
        format!(
            "{} are running; one of them has to terminate first, as in a rollout or a scale-down",
            count(stand.get(), "pod")
        )
    }

    fn behind(&self) -> String {
        let pods = &self.view.scene.situation.pods;
        let first = self
            .view
            .decision
            .grants
            .wants
            .iter()
            .filter(|want| matches!(want.class, Class::Task | Class::Rest))
            .find_map(|want| pods.get(want.pod).filter(|pod| pod.age >= PATIENCE));
        first.map_or_else(String::new, |pod| {
            format!(
                "Pod/{} has waited {} s; after {PATIENCE} s no younger pod may pass it",
                pod.name, pod.age
            )
        })
    }

    /// What will become of it.
    fn future(&self, told: &mut Explanation) {
        let candidates = &self.view.decision.reclaim.candidates;
        if let Some(place) = candidates.iter().position(|candidate| candidate.pod == self.pod) {
            let why = candidates
                .get(place)
                .map_or("", |candidate| evict::why(candidate.cause, &self.view.decision));
            let turn = if place == 0 { "it is next".to_owned() } else { format!("{place} others go first") };
            told.point("next", format!("the operator will remove it to make room ({turn}): {why}"));
        }
        let Some(core) = self.core() else { return };
        if matches!(core.hold, Hold::Escaped(_)) {
            told.point("how", ESCAPED);
            if self.view.mode == Mode::Gate {
                told.point("then", self.successor());
            }
        }
    }

    /// How to replace a pod that bypassed the gate.
    fn successor(&self) -> &'static str {
        let workload = self.core().and_then(|core| core.workload);
        let share = workload.and_then(|w| Some(&self.view.workload(w)?.assessment.share));
        match share.map(|share| share.nature) {
            Some(Nature::Service) => {
                "run `kubectl rollout restart` on its workload: the replacement is created with the gate"
            }
            Some(Nature::Task | Nature::Loose) | None => {
                "delete it and create it again: the new pod gets the gate"
            }
        }
    }
}

/// The arithmetic of a grant.
fn size(record: &PodRecord, note: &GrantNote, bill: Connections) -> String {
    let app = &record.app;
    let parts = [note.pool_size.into(), note.max_overflow.into(), app.knobs().unsaid().get()];
    let text = product(parts, app.processes, app.engines);
    if record.bill_of(note.pool_size.into(), note.max_overflow.into()) == bill {
        return text;
    }
    format!("{text}; it counts as {}, which its own env or an annotation allows", bill.in_words())
}

/// How a pod comes to run without a grant.
const ESCAPED: &str = "it was created while nothing added the gate to pods, or its kubelet runs it from a file, or its \
                       grant is damaged; poolbudget subtracts what its own env allows from what others may use";

/// The sum that a grant of this pod would have to fit into.
fn sum(want: &Want, usable: Connections) -> String {
    let Want { class, bill, committed, kept, .. } = *want;
    let total = committed.plus(kept).plus(bill);
    let kept = match (kept, class) {
        (Connections::ZERO, _) => String::new(),
        (kept, Class::Task | Class::Surge) => format!(" + {kept} kept for lost pods"),
        (kept, _) => format!(" + {kept} kept for lost pods and for rollouts"),
    };
    format!("{committed} committed{kept} + {bill} for it = {total}, of {usable} usable")
}

/// Why the operator has not sized a task yet.
fn until_calm() -> String {
    format!(
        "it is sized together with other pods of Jobs: when none has arrived for {CALM} s, and after {LONGEST} s in \
         any case"
    )
}

fn of_class(class: Class) -> &'static str {
    match class {
        Class::Lost => "it replaces a lost pod; these are served first, at any size that fits",
        Class::Surge => {
            "it takes the slot that is kept for rollouts; these pods are served right after replacements of lost pods"
        }
        Class::Task => "it belongs to a Job; these pods are served right after replacements of lost pods",
        Class::Rest => {
            "it is an additional pod; these are served after replacements of lost pods, Jobs and rollouts"
        }
        Class::Beyond => "its workload has no free slot",
    }
}
