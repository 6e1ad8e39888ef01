//! The controllers of Deployments, StatefulSets and DaemonSets: when they process a queue item, they act on what is
//! stored. Those of Jobs are in [`super::jobs`].

use std::time::Duration;

use testkit::model::deployment::Template;
use testkit::model::replica_set::{self, Change, Phase};
use testkit::model::{daemon_set, stateful_set};
use testkit::random::Random;

use super::clock;
use super::cluster::{Cluster, NODES, Work};
use super::pods::{Pod, Reported, Role};
use super::workload::{App, Counts, Form, Maker};

impl Cluster {
    /// A new workload.
    pub(crate) fn create_workload(&mut self, form: Form, replicas: u32, template: Template) {
        let index = self.apps.len();
        self.apps.push(App::new(form, replicas, template, instant(clock::now())));
        self.touch_workload(index);
        self.work.push(Work::Workload(index));
    }

    /// One pass over a workload. Returns after how many milliseconds another one is due in any case.
    pub(crate) fn sync_workload(&mut self, app: usize, random: &mut Random) -> Option<i64> {
        match self.apps[app].maker {
            Maker::Deployment(_) => self.sync_deployment(app),
            Maker::StatefulSet(_) => self.sync_stateful_set(app),
            Maker::DaemonSet { .. } => self.sync_daemon_set(app, random),
            Maker::Job(_) => return self.sync_job(app),
            Maker::CronJob(_) => return self.sync_cron_job(app),
        }
        None
    }

    /// One pass over an object from which a workload creates its pods.
    pub(crate) fn sync_part(&mut self, app: usize, template: u32, random: &mut Random) -> Option<i64> {
        match self.apps[app].maker {
            Maker::CronJob(_) => self.sync_run(app, template),
            _ => {
                self.sync_set(app, template, random);
                None
            }
        }
    }

    fn sync_deployment(&mut self, app: usize) {
        let pods = &self.pods;
        let runs = |template: u32| {
            let own = pods.values().filter(|pod| pod.app == app && pod.template == template);
            own.into_iter().any(|pod| pod.reported != Reported::Ended)
        };
        let Maker::Deployment(deployment) = &mut self.apps[app].maker else { return };
        let writes = deployment.sync(runs);
        let told: Vec<u32> = writes.iter().map(|write| deployment.sets[write.set].template.id).collect();
        for template in &told {
            self.touch_part(app, *template);
            self.work.push(Work::Part(app, *template));
        }
        self.tell_observed(app);
        if !told.is_empty() {
            // It sees its own write and looks again.
            self.work.push(Work::Workload(app));
        }
    }

    /// The controller of a workload has acted on its latest spec, and reports it.
    fn tell_observed(&mut self, app: usize) {
        let state = &mut self.apps[app];
        if state.is_observed() && state.observed != state.generation {
            state.observed = state.generation;
            state.seen = state.template().id;
            self.touch_workload(app);
        }
    }

    fn tell_counts(&mut self, app: usize, counts: Counts) {
        let state = &mut self.apps[app];
        let tells = state.counts != counts || state.observed != state.generation;
        state.counts = counts;
        state.observed = state.generation;
        state.seen = state.template().id;
        if tells {
            self.touch_workload(app);
        }
    }

    /// One pass over a ReplicaSet: it reports what it has, then creates or deletes pods.
    fn sync_set(&mut self, app: usize, template: u32, random: &mut Random) {
        let mut own: Vec<(u32, replica_set::Pod)> =
            self.own_pods(app, template).map(|pod| (pod.id, seen(pod))).collect();
        // If the controller's choice is open, the order of the list decides.
        own.sort_by_cached_key(|_| random.between(0, 999));
        let (ids, own): (Vec<u32>, Vec<replica_set::Pod>) = own.into_iter().unzip();
        let related: Vec<replica_set::Pod> = self.pods_of(app).map(seen).collect();
        let now = instant(clock::now());
        let report = replica_set::report(&own, Duration::ZERO, now);
        let Maker::Deployment(deployment) = &mut self.apps[app].maker else { return };
        let Some(state) = deployment.sets.iter_mut().find(|set| set.template.id == template) else { return };
        let wanted = usize::try_from(state.replicas).expect("few pods");
        if (state.pods, state.available) != (report.replicas, report.available) {
            (state.pods, state.available) = (report.replicas, report.available);
            self.touch_part(app, template);
            self.work.push(Work::Workload(app));
        }
        match replica_set::change(wanted, &own, &related, now) {
            Change::Create(count) => (0..count).for_each(|_| self.create_pod(app, template, Role::Any)),
            Change::Delete(places) => places.into_iter().for_each(|place| self.begin_deletion(ids[place])),
        }
    }

    /// A user scales the oldest ReplicaSet whose pods have no label down by one. False if there is none.
    pub(crate) fn shrink_oldest_unlabelled(&mut self, app: usize) -> bool {
        let Maker::Deployment(deployment) = &mut self.apps[app].maker else { return false };
        let old = deployment.sets.iter_mut().filter(|set| !set.template.labelled && set.available > 0);
        let Some(set) = old.min_by_key(|set| set.revision) else { return false };
        set.replicas = (set.replicas - 1).max(0);
        let template = set.template.id;
        self.touch_part(app, template);
        self.work.extend([Work::Part(app, template), Work::Workload(app)]);
        true
    }

    fn sync_stateful_set(&mut self, app: usize) {
        let with_ordinals = self.pods_of(app).filter_map(|pod| {
            let Role::Ordinal(ordinal) = pod.role else { return None };
            let Pod { template, ready, deleting: terminating, finished: ended, .. } = *pod;
            Some((pod.id, stateful_set::Pod { ordinal, template, ready, terminating, ended }))
        });
        let (ids, pods): (Vec<u32>, Vec<stateful_set::Pod>) = with_ordinals.unzip();
        let Maker::StatefulSet(set) = &mut self.apps[app].maker else { return };
        let changes = set.sync(&pods);
        let newest = set.template.id;
        let counts = Counts {
            pods: pods.len(),
            ready: pods.iter().filter(|pod| pod.ready).count(),
            updated: pods.iter().filter(|pod| pod.template == newest && !pod.terminating).count(),
            ..Counts::default()
        };
        for change in &changes {
            match change {
                stateful_set::Change::Create(ordinal, template) => {
                    self.create_pod(app, template.id, Role::Ordinal(*ordinal));
                }
                stateful_set::Change::Delete(place) => self.begin_deletion(ids[*place]),
            }
        }
        self.tell_counts(app, counts);
    }

    fn sync_daemon_set(&mut self, app: usize, random: &mut Random) {
        let for_nodes = self.pods_of(app).filter_map(|pod| {
            let Role::Node(node) = pod.role else { return None };
            let Pod { template, ready, deleting: terminating, finished: ended, .. } = *pod;
            let age = pod.id.into();
            Some((pod.id, daemon_set::Pod { node, template, ready, terminating, ended, age }))
        });
        let (ids, pods): (Vec<u32>, Vec<daemon_set::Pod>) = for_nodes.unzip();
        let mut nodes = self.nodes_of(app);
        // The controller visits them in any order.
        nodes.sort_by_cached_key(|_| random.between(0, 999));
        let Maker::DaemonSet { set, .. } = &mut self.apps[app].maker else { return };
        let changes = set.sync(&nodes, &pods);
        let template = set.template.id;
        let on = |node: usize, test: &dyn Fn(&daemon_set::Pod) -> bool| {
            pods.iter().any(|pod| pod.node == node && test(pod))
        };
        let count = |test: &dyn Fn(&daemon_set::Pod) -> bool| nodes.iter().filter(|n| on(**n, test)).count();
        let misplaced = (0..NODES).filter(|node| !nodes.contains(node) && on(*node, &|_| true)).count();
        let counts = Counts {
            pods: count(&|_| true),
            ready: count(&|pod| pod.ready),
            updated: count(&|pod| pod.template == template),
            desired: nodes.len(),
            misplaced,
        };
        for change in &changes {
            match change {
                daemon_set::Change::Create(node) => self.create_pod(app, template, Role::Node(*node)),
                daemon_set::Change::Delete(place) => self.begin_deletion(ids[*place]),
            }
        }
        self.tell_counts(app, counts);
    }

    /// The nodes that a DaemonSet runs on.
    pub(crate) fn nodes_of(&self, app: usize) -> Vec<usize> {
        let meant = usize::try_from(self.apps[app].replicas()).expect("few nodes").min(NODES);
        (0..meant).filter(|node| !self.nodes_gone[*node]).collect()
    }

    /// A node's object is gone, or back.
    pub(crate) fn set_node_gone(&mut self, node: usize, gone: bool) {
        self.nodes_gone[node] = gone;
        for app in 0..self.apps.len() {
            if let Maker::DaemonSet { .. } = self.apps[app].maker {
                self.work.push(Work::Workload(app));
            }
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

pub(super) fn instant(at: i64) -> Duration {
    Duration::from_millis(u64::try_from(at - clock::START).expect("after the start"))
}
