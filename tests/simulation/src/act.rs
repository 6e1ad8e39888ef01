//! What users and faults do.

use poolbudget::api::{DbConnectionBudgetSpec, Mode, WorkloadKind};
use serde_json::json;
use testkit::model::deployment::Template;

use super::clock;
use super::cluster::Facts;
use super::kubelet::Step;
use super::mutation::Mutation;
use super::plan::{Action, Entry, Terms, Workload};
use super::pods::Role;
use super::process::Process;
use super::sim::{Happening, Sim};
use super::workload::Maker;

/// The end of a fault or change that lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reversal {
    GateOn,
    NodeBack(usize, u32),
    EndSplit(usize, u32),
    MakeBudget(usize),
    Relist(usize, u32, usize),
    Heal,
}

fn spec(terms: &Terms, workloads: &[Workload], mutation: Mutation) -> DbConnectionBudgetSpec {
    let entries = terms.entries.iter().zip(workloads).enumerate();
    let workloads: Vec<_> = entries.map(|(app, (entry, w))| workload(w.form.kind(), app, entry)).collect();
    let spec = json!({
        "limit": {"connections": terms.limit},
        "reserved": terms.reserved,
        "sizing": {"basis": terms.basis, "surge": terms.surge},
        "evictionPolicy": eviction(terms.eviction),
        "workloads": workloads,
        "mode": mode(terms.observes),
        "lingerSeconds": if mutation == Mutation::LingerForgotten { 0 } else { terms.linger },
    });
    serde_json::from_value(spec).expect("a spec")
}

fn mode(observes: bool) -> Mode {
    if observes { Mode::Observe } else { Mode::Gate }
}

fn eviction(allowed: bool) -> &'static str {
    if allowed { "Allowed" } else { "Forbidden" }
}

fn workload(kind: WorkloadKind, app: usize, entry: &Entry) -> serde_json::Value {
    let mut size = json!({"min": entry.min});
    if let Some(max) = entry.max {
        size["max"] = json!(max);
    }
    let mut value = json!({"kind": kind, "name": format!("w{app}"), "weight": entry.weight, "connectionsPerProcess": size});
    if let Some(most) = entry.most {
        value["maxReplicas"] = json!(most);
    }
    value
}

impl Sim {
    pub(crate) fn set_up(&mut self) {
        for (budget, terms) in self.plan.budgets.clone().iter().enumerate() {
            self.cluster.create_budget(budget, spec(terms, &self.plan.workloads, self.mutation));
        }
        for workload in self.plan.workloads.clone() {
            let template = self.cluster.new_template(workload.facts);
            self.cluster.create_workload(workload.form, workload.replicas, template);
        }
        self.after(0, Happening::Elect(0));
        self.after(1, Happening::Elect(1));
        let mut at = i64::from(self.plan.calm);
        for index in 0..self.plan.actions.len() {
            at += i64::from(self.plan.actions[index].0) * 1000;
            self.after(at, Happening::Act(index));
        }
        self.after(at + 10_000, Happening::Reverse(Reversal::Heal));
    }

    pub(crate) fn act(&mut self, index: usize) {
        let action = self.plan.actions[index].1.clone();
        self.tell(|_| format!("== {action:?}"));
        let now = clock::now();
        let until = |seconds: u32| now + i64::from(seconds) * 1000;
        match action {
            Action::Scale(app, replicas) => self.scale(app, replicas),
            Action::Ramp(app, to, pace) => self.ramp(app, to, pace),
            Action::RollOut(app, facts) => self.roll_out(app, facts),
            Action::Undo(app, back) => self.undo(app, back),
            Action::Reform(app, form) => self.cluster.edit_workload(app, |workload| workload.reform(form)),
            Action::Autoscaler(app, most) => self.cluster.set_autoscaler(app, most),
            Action::Disruption(app, disruption) => self.cluster.set_disruption(app, disruption),
            Action::Limit(budget, connections) => {
                self.cluster.edit_budget(budget, |spec| spec.limit.connections = Some(connections));
            }
            Action::Sizing(budget, basis, surge) => {
                let sizing =
                    serde_json::from_value(json!({"basis": basis, "surge": surge})).expect("a sizing");
                self.cluster.edit_budget(budget, |spec| spec.sizing = sizing);
            }
            Action::Entry(budget, app, entry) => {
                let kind = self.cluster.apps[app].kind();
                let new = serde_json::from_value(workload(kind, app, &entry)).expect("an entry");
                self.cluster.edit_budget(budget, |spec| spec.workloads[app] = new);
            }
            Action::Eviction(budget, allowed) => {
                let policy = serde_json::from_value(json!(eviction(allowed))).expect("a policy");
                self.cluster.edit_budget(budget, |spec| spec.eviction_policy = policy);
            }
            Action::Observe(budget, observes) => {
                self.cluster.edit_budget(budget, |spec| spec.mode = mode(observes));
            }
            Action::DeleteBudget(budget) => self.cluster.delete_budget(budget),
            Action::RenewBudget(budget, seconds) => {
                self.cluster.delete_budget(budget);
                self.after(i64::from(seconds) * 1000, Happening::Reverse(Reversal::MakeBudget(budget)));
            }
            Action::GateOff(seconds) => {
                self.cluster.gate_is_off = true;
                self.after(i64::from(seconds) * 1000, Happening::Reverse(Reversal::GateOn));
            }
            Action::Storm(seconds, share) => self.weather.storm = (until(seconds), share),
            Action::Outage(seconds) => self.weather.outage = until(seconds),
            Action::Lag(seconds, most) => self.weather.lag = (until(seconds), most),
            Action::Slow(seconds) => self.weather.slow = until(seconds),
            Action::Delay(call, seconds, delay) => {
                self.weather.delays[call as usize] = (until(seconds), delay.into());
            }
            Action::KillAtWrite(number, moment) => self.weather.fatal.push_back((number, moment)),
            Action::DeletePod(_) | Action::ForcePod(..) | Action::CrashPod(_) | Action::LoseNode(..) => {
                self.harm(&action);
            }
            Action::CutWatch(..)
            | Action::Crash(_)
            | Action::Resign
            | Action::Split(_)
            | Action::ClockJump(..) => self.disturb(&action),
        }
    }

    pub(super) fn scale(&mut self, app: usize, replicas: u32) {
        let workload = &self.cluster.apps[app];
        // Pods of Jobs end by themselves, and a DaemonSet cannot get more nodes than exist.
        if !workload.is_task() && workload.kind() != WorkloadKind::DaemonSet {
            self.tally.scaled(app, workload.replicas(), replicas);
        }
        self.cluster.edit_workload(app, |workload| workload.scale(replicas));
    }

    pub(crate) fn ramp(&mut self, app: usize, to: u32, pace: u32) {
        let now = self.cluster.apps[app].replicas();
        let next = if now < to { now + 1 } else { now.saturating_sub(1) };
        if now != to && self.still.is_none() {
            self.scale(app, next);
            self.after(i64::from(pace) * 1000, Happening::Ramp(app, to, pace));
        }
    }

    pub(super) fn roll_out(&mut self, app: usize, facts: Facts) {
        let template = self.cluster.new_template(facts);
        self.cluster.renew_workload(app, template);
    }

    /// Back to an earlier template; a Job just runs again.
    fn undo(&mut self, app: usize, back: usize) {
        let workload = &self.cluster.apps[app];
        let known: Vec<Template> = match &workload.maker {
            Maker::Deployment(deployment) => deployment.sets.iter().map(|set| set.template).collect(),
            _ => workload.history.clone(),
        };
        let Some(template) = known.len().checked_sub(1).map(|last| known[last - back % known.len()]) else {
            return;
        };
        if workload.is_task() {
            self.roll_out(app, self.cluster.facts(template.id));
        } else {
            self.cluster.renew_workload(app, template);
        }
    }

    /// Faults of pods and nodes.
    fn harm(&mut self, action: &Action) {
        if let Action::LoseNode(node, seconds) = *action {
            self.nodes_down[node] = true;
            self.cluster.lose_node(node);
            self.node_losses[node] += 1;
            let loss = self.node_losses[node];
            for (stage, delay) in [(0, 40_000), (1, 60_000), (2, 90_000)] {
                self.after(delay, Happening::Node(node, loss, stage));
            }
            self.after(i64::from(seconds) * 1000, Happening::Reverse(Reversal::NodeBack(node, loss)));
            return;
        }
        let (Action::DeletePod(which) | Action::ForcePod(which, _) | Action::CrashPod(which)) = *action
        else {
            return;
        };
        let pods: Vec<u32> = self.cluster.pods.keys().copied().collect();
        let Some(id) = pods.get(which % pods.len().max(1)).copied() else { return };
        match *action {
            Action::DeletePod(_) => self.cluster.begin_deletion(id),
            Action::ForcePod(_, share) => {
                let grace = self.cluster.pods[&id].grace;
                let linger = self.linger(id);
                self.cluster.force_deletion(id, grace * i64::from(share), linger);
            }
            _ => self.after(0, Happening::Pod(id, Step::Crash)),
        }
    }

    /// What happens to the pods of a node that is away: not ready, deleted, collected.
    pub(crate) fn node_is_away(&mut self, node: usize, loss: u32, stage: u8) {
        if !self.nodes_down[node] || self.node_losses[node] != loss {
            return;
        }
        match stage {
            0 => self.cluster.mark_unknown(node),
            1 => {
                for id in self.cluster.pods_on(node) {
                    // A DaemonSet's pods tolerate it.
                    if !matches!(self.cluster.pods[&id].role, Role::Node(_)) {
                        self.cluster.begin_deletion(id);
                    }
                }
            }
            _ => {
                self.cluster.set_node_gone(node, true);
                self.cluster.end_ghosts_of(node, true);
                for id in self.cluster.pods_on(node) {
                    let lives_on = self.nodes.between(0, 30_000);
                    let linger = self.linger(id);
                    self.cluster.call_failed(id, lives_on.into(), linger);
                }
            }
        }
    }

    pub(super) fn node_back(&mut self, node: usize) {
        self.nodes_down[node] = false;
        self.cluster.nodes_lost[node] = None;
        self.cluster.end_ghosts_of(node, false);
        self.cluster.set_node_gone(node, false);
        for id in self.cluster.pods_on(node) {
            self.after(500, Happening::Pod(id, Step::Ready));
        }
    }

    /// Faults of the operator's processes.
    fn disturb(&mut self, action: &Action) {
        match *action {
            Action::Crash(process) => self.crash(process),
            Action::ClockJump(process, seconds) => self.skew[process] += i64::from(seconds) * 1000,
            Action::Resign => {
                if let Some(process) = self.leader
                    && let Process::Leading(term) = &mut self.processes[process]
                {
                    term.resigns = true;
                    let number = term.number;
                    let delay = if term.is_busy() { 15_000 } else { 1 };
                    self.after(delay, Happening::GiveUp(process, number));
                }
            }
            Action::Split(seconds) => {
                if let Some(old) = self.leader
                    && matches!(self.processes[1 - old], Process::Standby)
                    && let Process::Leading(term) = &self.processes[old]
                {
                    let number = term.number;
                    self.begin_term(1 - old);
                    self.after(
                        i64::from(seconds) * 1000,
                        Happening::Reverse(Reversal::EndSplit(old, number)),
                    );
                }
            }
            Action::CutWatch(process, kind, seconds) => {
                if let Process::Leading(term) = &mut self.processes[process]
                    && term.read[kind].take().is_some()
                {
                    let relist = Reversal::Relist(process, term.number, kind);
                    self.after(i64::from(seconds) * 1000, Happening::Reverse(relist));
                }
            }
            _ => {}
        }
    }

    pub(crate) fn reverse(&mut self, reversal: Reversal) {
        match reversal {
            Reversal::GateOn => self.cluster.gate_is_off = false,
            Reversal::NodeBack(node, loss) => {
                if self.node_losses[node] == loss && self.nodes_down[node] {
                    self.tell(|_| format!("node {node} is back"));
                    self.node_back(node);
                }
            }
            Reversal::EndSplit(process, number) => {
                if let Process::Leading(term) = &self.processes[process]
                    && term.number == number
                    && self.leader != Some(process)
                {
                    term.door.resign();
                    self.tell(|_| format!("process {process} sees that it does not lead"));
                    self.processes[process] = Process::Standby;
                    self.after(2_000, Happening::Elect(process));
                }
            }
            Reversal::MakeBudget(budget) => {
                if self.cluster.budgets[budget].is_none() {
                    let terms = spec(&self.plan.budgets[budget], &self.plan.workloads, self.mutation);
                    self.cluster.create_budget(budget, terms);
                }
            }
            Reversal::Relist(process, number, kind) => self.after(1, Happening::List(process, number, kind)),
            Reversal::Heal => self.heal(),
        }
    }
}
