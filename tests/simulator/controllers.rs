//! The Deployment and ReplicaSet controllers: when one of their queue items is worked off, they act on what is stored.

use poolbudget::budget::rollout::Strategy;

use super::cluster::{App, Cluster, Reported, Work};
use super::deployment::Deployment;
use super::random::Random;

impl Cluster {
    /// A new Deployment.
    pub(crate) fn create_deployment(
        &mut self,
        replicas: u32,
        strategy: Strategy,
        template: super::deployment::Template,
    ) {
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
        let runs = |template: u32| pods.values().any(|pod| pod.app == app && pod.template == template);
        let before = self.apps[app].deployment.sets.clone();
        self.apps[app].deployment.sync(runs);
        for set in 0..self.apps[app].deployment.sets.len() {
            let now = &self.apps[app].deployment.sets[set];
            let same = before
                .get(set)
                .is_some_and(|old| (old.replicas, old.revision) == (now.replicas, now.revision));
            if !same {
                let template = now.template.id;
                self.touch_set(app, set);
                self.work.push(Work::ReplicaSet(app, template));
                // It sees its own write and looks again.
                self.work.push(Work::Deployment(app));
            }
        }
        if self.apps[app].observed != self.apps[app].generation {
            self.apps[app].observed = self.apps[app].generation;
            self.touch_deployment(app);
        }
    }

    /// One pass over a ReplicaSet: it reports what it has, then makes or deletes pods.
    pub(crate) fn sync_set(&mut self, app: usize, template: u32, random: &mut Random) {
        let Some(set) = self.apps[app].deployment.sets.iter().position(|set| set.template.id == template)
        else {
            return;
        };
        let mut own: Vec<(u32, _)> = self
            .own_pods(app, template)
            .filter(|pod| !pod.deleting)
            .map(|pod| (pod.id, (pod.node.is_some(), pod.reported == Reported::Running, pod.ready)))
            .collect();
        let has = i64::try_from(own.len()).expect("few pods");
        let ready = i64::try_from(own.iter().filter(|(_, (_, _, ready))| *ready).count()).expect("few pods");
        let state = &mut self.apps[app].deployment.sets[set];
        let wants = state.replicas;
        if (state.pods, state.available) != (has, ready) {
            (state.pods, state.available) = (has, ready);
            self.touch_set(app, set);
            self.work.push(Work::Deployment(app));
        }
        for _ in has..wants {
            self.create_pod(app, template);
        }
        // Not bound before bound, not running before running, not ready before ready; among equals any.
        own.sort_by_cached_key(|(_, rank)| (*rank, random.between(0, 999)));
        own.truncate(usize::try_from((has - wants).max(0)).expect("few pods"));
        for (id, _) in own {
            self.begin_deletion(id);
        }
    }
}
