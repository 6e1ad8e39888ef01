//! How a schedule ends: faults are over, images are good, what is wanted fits, and everything must settle.

use std::fmt::Write;

use poolbudget::api::DbConnectionBudget;
use serde_json::json;
use testkit::model::daemon_set;
use testkit::model::job::Job;

use super::act::Reversal;
use super::clock;
use super::cluster::{BUDGETS, Facts, NODES};
use super::judge::Fault;
use super::pods::Pod;
use super::sim::{Happening, Sim};
use super::weather::Weather;
use super::workload::{App, Maker};

/// Everything must have settled within this many milliseconds after the last action.
const PATIENCE: i64 = 3_600_000;

/// With a full database, this much more for each pod that holds too much: its workload has no ready pod to spare,
/// because the new ones cannot connect, so only the last resort evicts it.
const LAST_RESORT: i64 = 600_000;

/// A user follows an instruction this many milliseconds after the previous one.
const OBEYS: i64 = 60_000;

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
            self.cluster.edit_budget(budget, |spec| spec.eviction_policy = allowed);
        }
        for app in 0..self.cluster.apps.len() {
            self.cluster.set_disruption(app, None);
            self.mend(app);
        }
        if self.plan.ends_feasible {
            for budget in 0..self.plan.budgets.len() {
                let least = self.cluster.least(budget);
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

    /// What the users of a workload do so that it can settle.
    fn mend(&mut self, app: usize) {
        let workload = &self.cluster.apps[app];
        let facts = self.cluster.facts(workload.template().id);
        let escaped = self.cluster.pods_of(app).any(Pod::has_escaped);
        let good = facts.good || !self.plan.stays_bad;
        // Perhaps only users replace pods of older templates; and pods in the wrong budget, or with images that never
        // become ready, must go.
        let misplaced = self.cluster.pods_of(app).any(|pod| pod.facts.budget != facts.budget);
        let bad = self.cluster.pods_of(app).any(|pod| !pod.facts.good) || !facts.good;
        if escaped || misplaced || (good && bad) {
            self.cluster.edit_workload(app, App::roll_all);
        }
        let budget = if self.plan.full { Some(0) } else { facts.budget };
        if facts.good != good || escaped || budget != facts.budget {
            self.roll_out(app, Facts { good, budget, ..facts });
        }
        let bad: Vec<u32> =
            self.cluster.pods_of(app).filter(|pod| !pod.facts.good).map(|pod| pod.id).collect();
        let escaped = self.cluster.pods_of(app).filter(|pod| pod.has_escaped());
        let (past_the_gate, of_runs): (Vec<u32>, Vec<u32>) =
            escaped.map(|pod| (pod.id, pod.template)).unzip();
        match &mut self.cluster.apps[app].maker {
            // If its pods are ordered, only its user removes a bad one, or one that bypassed the gate while another
            // waits.
            Maker::StatefulSet(_) => {
                let bad = bad.into_iter().filter(|_| good);
                bad.chain(past_the_gate).for_each(|id| self.cluster.begin_deletion(id));
            }
            Maker::Job(job) if job.parallelism == 0 => self.scale(app, 1),
            Maker::CronJob(runs) => {
                // Otherwise it would never come to rest.
                runs.cron.suspended = true;
                let hopeless = |job: &&Job| {
                    let is_bad = !job.template.good || job.parallelism == 0;
                    (good && is_bad) || of_runs.contains(&job.template.id)
                };
                let hopeless: Vec<u32> =
                    runs.jobs.iter().filter(hopeless).map(|job| job.template.id).collect();
                hopeless.into_iter().for_each(|run| self.cluster.remove_run(app, run));
                self.cluster.edit_workload(app, |_| {});
            }
            _ => {}
        }
    }

    /// Whether a workload is as wanted.
    fn is_whole(&self, app: usize) -> bool {
        let workload = &self.cluster.apps[app];
        let pods = || self.cluster.pods_of(app);
        let newest = |pod: &Pod| pod.template == workload.template().id;
        let stands =
            |pod: &Pod| pod.ready && !pod.deleting && (pod.facts.budget.is_none() || pod.is_granted());
        let has = |count: usize, fits: &dyn Fn(&Pod) -> bool| {
            workload.observed == workload.generation
                && pods().count() == count
                && pods().all(|pod| stands(pod) && fits(pod))
        };
        match &workload.maker {
            Maker::Deployment(deployment) => has(deployment.replicas as usize, &newest),
            Maker::StatefulSet(set) => {
                has(set.replicas as usize, &|pod| newest(pod) || set.keeps(pod.role.ordinal()))
            }
            Maker::DaemonSet { set, .. } => {
                let fits = |pod: &Pod| newest(pod) || set.update == daemon_set::Update::OnDelete;
                has(self.cluster.nodes_of(app).len(), &fits)
            }
            Maker::Job(job) => job.finished.is_some() && pods().all(|pod| pod.finished),
            Maker::CronJob(runs) => {
                runs.jobs.iter().all(|job| job.finished.is_some()) && pods().all(|pod| pod.finished)
            }
        }
    }

    /// Whether a workload is held up by a flaw of its controller or by a bad image, which the operator cannot fix.
    fn is_stuck(&self, app: usize) -> bool {
        let workload = &self.cluster.apps[app];
        let flawed = matches!(&workload.maker, Maker::Deployment(deployment) if deployment.is_stuck());
        flawed || !workload.template().good
    }

    /// Whether everything is as wanted, and the status says so.
    pub(crate) fn at_rest(&self) -> bool {
        let (stuck, others): (Vec<usize>, Vec<usize>) =
            (0..self.cluster.apps.len()).partition(|app| self.is_stuck(*app));
        let settled = |object: &DbConnectionBudget| {
            let Some(status) = &object.status else { return false };
            let holds = |kind: &str| status.conditions.iter().any(|c| c.type_ == kind && c.status == "True");
            status.observed_generation == object.metadata.generation
                && status.ledger.grants.is_empty()
                && (!stuck.is_empty() || (status.pods.waiting == 0 && holds("Settled")))
        };
        others.into_iter().all(|app| self.is_whole(app)) && self.cluster.budgets.iter().flatten().all(settled)
    }

    /// Everything that exists, in words.
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
            let _ = writeln!(
                text,
                "  grants {:?} quarantine {:?}",
                status.ledger.grants, status.ledger.quarantine
            );
        }
        for (app, state) in self.cluster.apps.iter().enumerate() {
            let _ = writeln!(text, "w{app}: {:?} {:?}", state.maker, state.autoscaler);
        }
        for pod in self.cluster.pods.values() {
            let _ = writeln!(text, "{}: {pod:?}", pod.name);
        }
        text
    }

    /// A user follows a budget's instruction: scales the ReplicaSet of pods from before the label down by one.
    fn obey(&mut self) {
        let status = self.cluster.budgets[0].as_ref().and_then(|object| object.status.as_ref());
        let conditions = status.into_iter().flat_map(|status| &status.conditions);
        let told = |app: &usize| {
            let name = format!("of Deployment/w{app} do not become Ready");
            conditions.clone().any(|condition| {
                (condition.type_.as_str(), condition.status.as_str(), condition.reason.as_str())
                    == ("Blocked", "True", "ForeignPods")
                    && condition.message.contains(&name)
                    && condition.message.ends_with("yourself")
            })
        };
        let Some(app) = (0..self.cluster.apps.len()).find(told) else { return };
        if self.cluster.shrink_oldest_unlabelled(app) {
            self.tell(|_| {
                format!("somebody scales the old ReplicaSet of w{app} down by one, as he was told")
            });
            self.obeyed = clock::now();
        }
    }

    fn patience(&self) -> i64 {
        let pods = i64::try_from(self.cluster.pods.len()).expect("few");
        PATIENCE + if self.plan.full { pods * LAST_RESORT } else { 0 }
    }

    pub(super) fn check_rest(&mut self) {
        let Some(still) = self.still else { return };
        let waited = clock::now() - still;
        if self.plan.full && clock::now() - self.obeyed >= OBEYS {
            self.obey();
        }
        if !self.plan.ends_feasible {
            // Then the only promise is that no budget exceeds its limit.
            self.over = waited > 60_000;
        } else if self.at_rest() {
            self.tally.settle(&self.cluster, waited);
            self.over = true;
        } else if waited > self.patience() {
            let picture = self.picture();
            self.judge.complain(Fault::Stuck, format!("not settled after {} s\n{picture}", waited / 1000));
        }
        if !self.over {
            self.after(1_000, Happening::CheckRest);
        }
    }
}
