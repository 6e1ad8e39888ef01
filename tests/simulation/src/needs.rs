//! What a budget needs so that everything wanted fits, computed independently.

use poolbudget::budget::amount::Pods;
use poolbudget::budget::rollout::{self, Surge};
use serde_json::json;
use testkit::model::IntOrPercent;
use testkit::model::daemon_set::Update;
use testkit::model::deployment::Strategy;
use testkit::model::job::Job;

use super::cluster::Cluster;
use super::pods::Pod;
use super::workload::{App, Maker};

impl Cluster {
    /// The connections that everything needs at its smallest size.
    pub(crate) fn least(&self, budget: usize) -> u64 {
        let object = self.budgets[budget].as_ref().expect("it exists");
        let status = object.status.clone().unwrap_or_default();
        let full = json!(object.spec.sizing.surge) == json!("Full");
        let mut sum = 0;
        for (app, state) in self.apps.iter().enumerate() {
            let entry = &object.spec.workloads[app];
            let (replicas, own_ceiling) = self.wants(app, budget);
            let stays = self.facts(state.template().id).budget == Some(budget);
            let stated = state.autoscaler.map(|(most, _)| most).or(entry.max_replicas).or(own_ceiling);
            let ceiling = stated.filter(|_| stays).unwrap_or(0);
            let carried = status.ledger.baselines.iter().find(|w| w.name == format!("w{app}"));
            let rung = carried.and_then(|w| w.ladder.as_ref()).map_or(0, |rung| rung.level.unsigned_abs());
            let pods = match json!(object.spec.sizing.basis).as_str() {
                Some("Ceiling") => replicas.max(ceiling),
                Some("Ladder") => replicas.checked_next_power_of_two().unwrap_or(replicas).max(rung),
                _ => replicas,
            };
            let slots = slots(state, pods, full).max(slots(state, replicas, full));
            let least = u64::from(slots)
                * u64::from(entry.connections_per_process.min.unwrap_or(1))
                * u64::from(self.widest(app, budget));
            // No pod is taken from its work, however much it holds.
            let works = |pod: &&Pod| state.is_task() && pod.facts.budget == Some(budget) && pod.is_granted();
            sum += least.max(self.pods_of(app).filter(works).map(Pod::bill).sum());
        }
        sum
    }

    /// The pods that a workload wants of a budget now, and the most that it states itself.
    fn wants(&self, app: usize, budget: usize) -> (u32, Option<u32>) {
        let state = &self.apps[app];
        let labelled = |template: u32| self.facts(template).budget == Some(budget);
        if !labelled(state.template().id) {
            let staying = |pod: &&Pod| labelled(pod.template) && !pod.deleting && !pod.finished;
            return (number(self.pods_of(app).filter(staying).count()), None);
        }
        let at_once = |job: &Job| job.parallelism.min(job.completions.unwrap_or(u32::MAX));
        match &state.maker {
            Maker::Job(job) if job.finished.is_none() => (job.wanted(), Some(at_once(job))),
            Maker::Job(_) => (0, None),
            Maker::CronJob(runs) => {
                let next = (!runs.cron.suspended).then(|| at_once(&runs.pattern));
                (runs.jobs.iter().map(Job::wanted).sum(), next)
            }
            Maker::DaemonSet { .. } => (number(self.nodes_of(app).len()), None),
            Maker::Deployment(_) | Maker::StatefulSet(_) => (state.replicas(), None),
        }
    }

    /// The most processes of a pod. While a workload rolls out, the old revision counts too.
    fn widest(&self, app: usize, budget: usize) -> u32 {
        let state = &self.apps[app];
        let makes = match &state.maker {
            Maker::Deployment(deployment) => {
                let active = deployment.sets.iter().filter(|set| set.replicas > 0);
                active.map(|set| set.template.id).collect()
            }
            _ => self.pods_of(app).map(|pod| pod.template).collect::<Vec<u32>>(),
        };
        let runs = if let Maker::CronJob(runs) = &state.maker { &runs.jobs[..] } else { &[] };
        let all =
            makes.into_iter().chain([state.template().id]).chain(runs.iter().map(|job| job.template.id));
        let facts = all.map(|template| self.facts(template)).filter(|facts| facts.budget == Some(budget));
        facts.map(|facts| facts.processes).max().unwrap_or(0)
    }
}

/// The pods of a workload and of its rollout.
fn slots(state: &App, replicas: u32, full: bool) -> u32 {
    match &state.maker {
        Maker::Deployment(deployment) => {
            let surge = if full { Surge::Full } else { Surge::Minimal };
            ours(deployment.strategy).slots(Pods::new(replicas), surge).get()
        }
        Maker::DaemonSet { set, .. } => {
            let Update::Rolling { max_surge, max_unavailable } = set.update else { return replicas };
            let surge = max_surge.rounded_up(replicas);
            let needed = u32::from(max_unavailable.rounded_up(replicas) == 0).min(surge);
            replicas
                + if replicas == 0 {
                    0
                } else if full {
                    surge
                } else {
                    needed
                }
        }
        _ => replicas,
    }
}

/// The strategy in the operator's type.
fn ours(strategy: Strategy) -> rollout::Strategy {
    let number = |number| match number {
        IntOrPercent::Int(pods) => rollout::IntOrPercent::Int(pods),
        IntOrPercent::Percent(share) => rollout::IntOrPercent::Percent(share),
    };
    match strategy {
        Strategy::Recreate => rollout::Strategy::Recreate,
        Strategy::RollingUpdate { max_surge, max_unavailable } => rollout::Strategy::RollingUpdate {
            max_surge: number(max_surge),
            max_unavailable: number(max_unavailable),
        },
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).expect("few pods")
}
