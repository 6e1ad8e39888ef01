//! What users and faults do, and how it ends: in the end all faults are over, images are good, and what is wanted fits.

use std::fmt::Write;

use poolbudget::api::{DbConnectionBudget, DbConnectionBudgetSpec};
use poolbudget::budget::amount::Pods;
use poolbudget::budget::rollout::Surge;
use serde_json::json;

use super::clock;
use super::cluster::{BUDGETS, Cluster, Facts, Pod};
use super::kubelet::Step;
use super::plan::{Action, Entry, Terms};
use super::process::Process;
use super::sim::{Happening, NODES, Sim};
use super::weather::Weather;

/// The end of something that lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reversal {
    GateOn,
    NodeBack(usize, u32),
    EndSplit(usize, u32),
    MakeBudget(usize),
    Relist(usize, u32, usize),
    Heal,
}

fn spec(terms: &Terms) -> DbConnectionBudgetSpec {
    let workloads: Vec<_> =
        terms.entries.iter().enumerate().map(|(app, entry)| workload(app, entry)).collect();
    let spec = json!({
        "limit": {"connections": terms.limit},
        "reserved": terms.reserved,
        "sizing": {"basis": terms.basis, "surge": terms.surge},
        "eviction": eviction(terms.eviction),
        "workloads": workloads,
    });
    serde_json::from_value(spec).expect("a spec")
}

fn eviction(allowed: bool) -> &'static str {
    if allowed { "Allowed" } else { "Forbidden" }
}

fn workload(app: usize, entry: &Entry) -> serde_json::Value {
    let mut size = json!({"min": entry.min});
    if let Some(max) = entry.max {
        size["max"] = json!(max);
    }
    let mut value =
        json!({"kind": "Deployment", "name": format!("w{app}"), "weight": entry.weight, "size": size});
    if let Some(most) = entry.most {
        value["maxReplicas"] = json!(most);
    }
    value
}

impl Sim {
    pub(crate) fn set_up(&mut self) {
        for (budget, terms) in self.plan.budgets.clone().iter().enumerate() {
            self.cluster.create_budget(budget, spec(terms));
        }
        for workload in self.plan.workloads.clone() {
            let template = self.cluster.new_template(workload.facts);
            self.cluster.create_deployment(workload.replicas, workload.strategy, template);
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
            Action::Undo(app, back) => {
                let sets = &self.cluster.apps[app].deployment.sets;
                if !sets.is_empty() {
                    let template = sets[sets.len() - 1 - back % sets.len()].template;
                    self.cluster.edit_deployment(app, |deployment| deployment.template = template);
                }
            }
            Action::Restrategize(app, strategy) => {
                self.cluster.edit_deployment(app, |deployment| deployment.strategy = strategy);
            }
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
                let new = serde_json::from_value(workload(app, &entry)).expect("an entry");
                self.cluster.edit_budget(budget, |spec| spec.workloads[app] = new);
            }
            Action::Eviction(budget, allowed) => {
                let policy = serde_json::from_value(json!(eviction(allowed))).expect("a policy");
                self.cluster.edit_budget(budget, |spec| spec.eviction = policy);
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

    fn scale(&mut self, app: usize, replicas: u32) {
        let before = self.cluster.apps[app].deployment.replicas;
        self.tally.scaled(app, before, replicas);
        self.cluster.edit_deployment(app, |deployment| deployment.replicas = replicas);
    }

    pub(crate) fn ramp(&mut self, app: usize, to: u32, pace: u32) {
        let now = self.cluster.apps[app].deployment.replicas;
        let next = if now < to { now + 1 } else { now.saturating_sub(1) };
        if now != to && self.still.is_none() {
            self.scale(app, next);
            self.after(i64::from(pace) * 1000, Happening::Ramp(app, to, pace));
        }
    }

    fn roll_out(&mut self, app: usize, facts: Facts) {
        let template = self.cluster.new_template(facts);
        self.cluster.edit_deployment(app, |deployment| deployment.template = template);
    }

    /// Harm to pods and nodes.
    fn harm(&mut self, action: &Action) {
        if let Action::LoseNode(node, seconds) = *action {
            self.nodes_down[node] = true;
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
                self.cluster.force_deletion(id, grace * i64::from(share));
            }
            _ => self.after(0, Happening::Pod(id, Step::Crash as u8)),
        }
    }

    /// What becomes of the pods of a node that is away: not ready, deleted, collected.
    pub(crate) fn node_is_away(&mut self, node: usize, loss: u32, stage: u8) {
        if !self.nodes_down[node] || self.node_losses[node] != loss {
            return;
        }
        match stage {
            0 => self.cluster.mark_unknown(node),
            1 => {
                for id in self.cluster.pods_on(node) {
                    self.cluster.begin_deletion(id);
                }
            }
            _ => {
                for id in self.cluster.pods_on(node) {
                    let lives_on = self.nodes.between(0, 30_000);
                    self.cluster.force_deletion(id, lives_on.into());
                }
            }
        }
    }

    fn node_back(&mut self, node: usize) {
        self.nodes_down[node] = false;
        for id in self.cluster.pods_on(node) {
            self.after(500, Happening::Pod(id, Step::Ready as u8));
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
                    let terms = spec(&self.plan.budgets[budget]);
                    self.cluster.create_budget(budget, terms);
                }
            }
            Reversal::Relist(process, number, kind) => self.after(1, Happening::List(process, number, kind)),
            Reversal::Heal => self.heal(),
        }
    }

    /// From here on nothing changes from outside.
    fn heal(&mut self) {
        self.tell(|_| "== from here on nothing changes".into());
        self.weather = Weather::default();
        self.reverse(Reversal::GateOn);
        for node in 0..NODES {
            if self.nodes_down[node] {
                self.node_back(node);
            }
        }
        for process in 0..2 {
            self.after(20_000, Happening::Boot(process));
        }
        for budget in 0..self.plan.budgets.len() {
            self.reverse(Reversal::MakeBudget(budget));
            let allowed = serde_json::from_value(json!(eviction(true))).expect("a policy");
            self.cluster.edit_budget(budget, |spec| spec.eviction = allowed);
        }
        for app in 0..self.cluster.apps.len() {
            self.cluster.set_disruption(app, None);
            let facts = self.cluster.facts(self.cluster.apps[app].deployment.template.id);
            let escaped = self
                .cluster
                .pods
                .values()
                .any(|pod| pod.app == app && !pod.late_bound && pod.facts.budget.is_some());
            let good = facts.good || !self.plan.stays_bad;
            if facts.good != good || escaped {
                self.roll_out(app, Facts { good, ..facts });
            }
        }
        if self.plan.ends_feasible {
            for budget in 0..self.plan.budgets.len() {
                let least = least(&self.cluster, budget);
                let spec = &self.cluster.budgets[budget].as_ref().expect("it exists").spec;
                let limit = u64::from(spec.limit.connections.expect("a number"));
                let needed = least + u64::from(spec.reserved);
                if limit < needed {
                    let needed = u32::try_from(needed).expect("a small number");
                    self.tell(|_| format!("limit of budget {budget} raised to {needed}"));
                    self.cluster.edit_budget(budget, |spec| spec.limit.connections = Some(needed));
                }
            }
        }
        self.still = Some(clock::now());
        self.after(1_000, Happening::CheckRest);
    }

    /// Whether all is as it is wanted, and the status says so.
    pub(crate) fn at_rest(&self) -> bool {
        let whole = |app: usize| {
            let state = &self.cluster.apps[app];
            let deployment = &state.deployment;
            let mut pods = self.cluster.pods.values().filter(|pod| pod.app == app);
            let finished = |pod: &Pod| pod.template == deployment.template.id && pod.ready && !pod.deleting;
            state.observed == state.generation
                && pods.clone().count() == deployment.replicas as usize
                && pods.all(|pod| finished(pod) && (pod.facts.budget.is_none() || pod.is_granted()))
        };
        // A flaw of the Deployment controller's own, or an image, that is not the operator's to mend.
        let stuck = |app: &usize| {
            let deployment = &self.cluster.apps[*app].deployment;
            deployment.is_stuck() || !deployment.template.good
        };
        let (stuck, others): (Vec<usize>, Vec<usize>) = (0..self.cluster.apps.len()).partition(stuck);
        let settled = |object: &DbConnectionBudget| {
            let Some(status) = &object.status else { return false };
            let holds = |kind: &str| status.conditions.iter().any(|c| c.type_ == kind && c.status == "True");
            status.observed_generation == object.metadata.generation
                && status.grants.is_empty()
                && (!stuck.is_empty() || (status.waiting == 0 && holds("Settled")))
        };
        others.into_iter().all(whole) && self.cluster.budgets.iter().flatten().all(settled)
    }

    /// Everything that is there, in words.
    pub(crate) fn picture(&self) -> String {
        let mut text = String::new();
        for (budget, object) in self.cluster.budgets.iter().enumerate() {
            let Some(object) = object else { continue };
            let (held, usable) = (self.cluster.held(budget), self.cluster.usable(budget));
            let _ = writeln!(text, "{}: {held} of {usable:?} held; {}", BUDGETS[budget], json!(object.spec));
            let status = object.status.clone().unwrap_or_default();
            for workload in &status.workloads {
                let _ = writeln!(text, "  {}", json!(workload));
            }
            for condition in &status.conditions {
                let (kind, holds) = (&condition.type_, &condition.status);
                let _ = writeln!(text, "  {kind}={holds} {}: {}", condition.reason, condition.message);
            }
            let _ = writeln!(text, "  grants {:?} quarantine {:?}", status.grants, status.quarantine);
        }
        for (app, state) in self.cluster.apps.iter().enumerate() {
            let _ = writeln!(text, "w{app}: {:?} {:?}", state.deployment, state.autoscaler);
        }
        for pod in self.cluster.pods.values() {
            let _ = writeln!(text, "{}: {pod:?}", pod.name());
        }
        text
    }
}

/// What is needed so that all that is wanted fits, by arithmetic of its own.
fn least(cluster: &Cluster, budget: usize) -> u64 {
    let object = cluster.budgets[budget].as_ref().expect("it exists");
    let status = object.status.clone().unwrap_or_default();
    let surge = if json!(object.spec.sizing.surge) == json!("Full") { Surge::Full } else { Surge::Minimal };
    let mut sum = 0;
    for (app, state) in cluster.apps.iter().enumerate() {
        let deployment = &state.deployment;
        let labelled = |template: u32| cluster.facts(template).budget == Some(budget);
        let stays = labelled(deployment.template.id);
        let own = deployment.sets.iter().filter(|set| labelled(set.template.id) && set.replicas > 0);
        let entry = &object.spec.workloads[app];
        let replicas = if stays {
            deployment.replicas
        } else {
            own.clone().map(|set| u32::try_from(set.replicas).expect("few")).sum()
        };
        let ceiling =
            state.autoscaler.map(|(most, _)| most).or(entry.max_replicas).filter(|_| stays).unwrap_or(0);
        let carried = status.workloads.iter().find(|w| w.name == format!("w{app}"));
        let rung = carried.and_then(|w| w.ladder.as_ref()).map_or(0, |rung| rung.level.unsigned_abs());
        let pods = match json!(object.spec.sizing.basis).as_str() {
            Some("Ceiling") => replicas.max(ceiling),
            Some("Ladder") => replicas.checked_next_power_of_two().unwrap_or(replicas).max(rung),
            _ => replicas,
        };
        // Where it is just rolling away from it, the old revision counts too.
        let templates = own.map(|set| set.template.id).chain(stays.then_some(deployment.template.id));
        let processes = templates.map(|template| cluster.facts(template).processes).max().unwrap_or(0);
        let slots = deployment
            .strategy
            .slots(Pods::new(pods), surge)
            .get()
            .max(deployment.strategy.slots(Pods::new(replicas), surge).get());
        sum += u64::from(slots) * u64::from(entry.size.min) * u64::from(processes);
    }
    sum
}
