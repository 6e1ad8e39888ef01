//! The Deployment and ReplicaSet controllers: when one of their queue items is worked off, they act on what is stored.

use std::time::Duration;

use poolbudget::budget::rollout::Strategy;

use super::clock;
use super::cluster::{App, Cluster, Pod, Reported, Work};
use super::model::deployment::{Deployment, Template};
use super::model::random::Random;
use super::model::replica_set::{self, Change, Phase};

impl Cluster {
    /// A new Deployment.
    pub(crate) fn create_deployment(&mut self, replicas: u32, strategy: Strategy, template: Template) {
        let index = self.apps.len();
        self.apps.push(App {
            deployment: Deployment::new(replicas, strategy, template),
            version: 0,
            generation: 1,
            observed: 0,
            sets: Vec::new(),
            autoscaler: None,
            disruption: None,
        });
        self.touch_deployment(index);
        self.work.push(Work::Deployment(index));
    }

    /// One pass over a Deployment.
    pub(crate) fn sync_deployment(&mut self, app: usize) {
        let pods = &self.pods;
        let runs = |template: u32| {
            let own = pods.values().filter(|pod| pod.app == app && pod.template == template);
            own.into_iter().any(|pod| pod.reported != Reported::Ended)
        };
        let writes = self.apps[app].deployment.sync(runs);
        for write in &writes {
            let template = self.apps[app].deployment.sets[write.set].template.id;
            self.touch_set(app, write.set);
            self.work.push(Work::ReplicaSet(app, template));
        }
        let state = &mut self.apps[app];
        if state.deployment.observed && state.observed != state.generation {
            state.observed = state.generation;
            self.touch_deployment(app);
        }
        if !writes.is_empty() {
            // It sees its own write and looks again.
            self.work.push(Work::Deployment(app));
        }
    }

    /// One pass over a ReplicaSet: it reports what it has, then makes or deletes pods.
    pub(crate) fn sync_set(&mut self, app: usize, template: u32, random: &mut Random) {
        let Some(set) = self.apps[app].deployment.sets.iter().position(|set| set.template.id == template)
        else {
            return;
        };
        let mut own: Vec<(u32, replica_set::Pod)> =
            self.own_pods(app, template).map(|pod| (pod.id, seen(pod))).collect();
        // Where the controller's choice is open, the order of the list decides.
        own.sort_by_cached_key(|_| random.between(0, 999));
        let (ids, own): (Vec<u32>, Vec<replica_set::Pod>) = own.into_iter().unzip();
        let related: Vec<replica_set::Pod> =
            self.pods.values().filter(|pod| pod.app == app).map(seen).collect();
        let now = instant(clock::now());
        let report = replica_set::report(&own, Duration::ZERO, now);
        let state = &mut self.apps[app].deployment.sets[set];
        let wanted = usize::try_from(state.replicas).expect("few pods");
        if (state.pods, state.available) != (report.replicas, report.available) {
            (state.pods, state.available) = (report.replicas, report.available);
            self.touch_set(app, set);
            self.work.push(Work::Deployment(app));
        }
        match replica_set::change(wanted, &own, &related, now) {
            Change::Create(count) => (0..count).for_each(|_| self.create_pod(app, template)),
            Change::Delete(places) => places.into_iter().for_each(|place| self.begin_deletion(ids[place])),
        }
    }
}

/// A pod as the ReplicaSet controller sees it.
fn seen(pod: &Pod) -> replica_set::Pod {
    replica_set::Pod {
        uid: pod.id.into(),
        node: pod.node.map(|(node, _)| u32::try_from(node).expect("few nodes")),
        phase: if pod.reported == Reported::Waiting && pod.restarts == 0 {
            Phase::Pending
        } else {
            Phase::Running
        },
        terminating: pod.deleting,
        ready: pod.ready.then(|| instant(pod.ready_since)),
        created: instant(pod.created),
        cost: 0,
        restarts: (pod.restarts, 0),
    }
}

fn instant(at: i64) -> Duration {
    Duration::from_millis(u64::try_from(at - clock::START).expect("after the start"))
}
