//! How a schedule ends: faults are over, images are good, what is wanted fits, and everything has to settle.

use std::fmt::Write;

use poolbudget::api::DbConnectionBudget;
use poolbudget::budget::amount::Pods;
use poolbudget::budget::rollout::Surge;
use serde_json::json;

use super::act::Reversal;
use super::clock;
use super::cluster::{BUDGETS, Cluster, Facts, Pod};
use super::judge::Fault;
use super::sim::{Happening, NODES, Sim};
use super::weather::Weather;

/// After the last action everything must have settled within so many milliseconds.
const PATIENCE: i64 = 3_600_000;

impl Sim {
    /// From here on nothing changes from outside.
    pub(super) fn heal(&mut self) {
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
            let allowed = serde_json::from_value(json!("Allowed")).expect("a policy");
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

    pub(super) fn check_rest(&mut self) {
        let Some(still) = self.still else { return };
        let waited = clock::now() - still;
        if !self.plan.ends_feasible {
            // Nothing is promised but that nobody goes over.
            self.over = waited > 60_000;
        } else if self.at_rest() {
            self.tally.settle(&self.cluster, waited);
            self.over = true;
        } else if waited > PATIENCE {
            let picture = self.picture();
            self.judge.complain(Fault::Stuck, format!("not settled after {} s\n{picture}", PATIENCE / 1000));
        }
        if !self.over {
            self.after(1_000, Happening::CheckRest);
        }
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
