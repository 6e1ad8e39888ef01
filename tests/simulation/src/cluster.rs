//! The true state of the cluster: what the API server stores, and what runs on the nodes.
//!
//! Every change of an object gets a version, is written to a log that the operator's watches read later, and creates
//! work for the controllers. Pods have their own file ([`super::pods`]).

use std::collections::BTreeMap;

use kube::runtime::watcher::Event;
use poolbudget::api::{DbConnectionBudget, DbConnectionBudgetSpec, WorkloadKind};
use poolbudget::cluster::autoscaler::AutoscalerView;
use poolbudget::cluster::pod::PodView;
use poolbudget::cluster::workload::{
    CronJobView, DaemonSetView, DeploymentView, JobView, ReplicaSetView, StatefulSetView,
};
use testkit::model::deployment::Template;

use super::clock;
use super::objects;
use super::pods::Pod;
use super::workload::{App, Maker};

/// The only namespace.
pub const NAMESPACE: &str = "shop";
/// The budgets that may exist.
pub const BUDGETS: [&str; 2] = ["main", "side"];
/// Nodes of the cluster.
pub const NODES: usize = 3;

pub type Notes = BTreeMap<String, String>;

/// What a template says, besides what its Deployment's controller reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Whether its pods become ready.
    pub good: bool,
    pub processes: u32,
    /// Which budget its label names.
    pub budget: Option<usize>,
}

/// What kept running after its object was gone.
#[derive(Clone, Debug)]
pub struct Ghost {
    pub budget: usize,
    pub bill: u64,
    pub since: i64,
    /// When its processes have ended.
    pub until: i64,
    /// A node whose kubelet has to come back first, and how long the processes run after that.
    pub waits_for: Option<(usize, i64)>,
    /// How long its connections outlive its processes; `until` includes it.
    pub linger: i64,
    pub left: Left,
}

/// What left connections behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// A pod that vanished, perhaps with its processes.
    Vanished,
    /// A pod whose processes have ended.
    Ended,
    /// A container that was restarted in its pod: its entry in a status, and when a status first had that entry.
    Restarted { entry: String, named: Option<i64> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disruption {
    /// At least this many healthy pods.
    MinAvailable(u32),
    /// At most this many of the wanted pods missing.
    MaxUnavailable(u32),
}

/// A kind of object that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Budgets,
    Pods,
    Deployments,
    ReplicaSets,
    Autoscalers,
    StatefulSets,
    DaemonSets,
    Jobs,
    CronJobs,
    Disruptions,
}

impl Kind {
    pub const ALL: [Self; 10] = [
        Self::Budgets,
        Self::Pods,
        Self::Deployments,
        Self::ReplicaSets,
        Self::Autoscalers,
        Self::StatefulSets,
        Self::DaemonSets,
        Self::Jobs,
        Self::CronJobs,
        Self::Disruptions,
    ];
}

/// A change that creates work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    Watches(Kind),
    /// The controller of a workload has something to do.
    Workload(usize),
    /// So has the controller of a part of it: a ReplicaSet, or a Job of a CronJob.
    Part(usize, u32),
    /// A pod may be bound to a node.
    Scheduler(u32),
    /// A pod's deletion has begun.
    Kubelet(u32),
}

/// Every change, with its time.
#[derive(Default)]
pub struct Log {
    pub budgets: Vec<(i64, Event<DbConnectionBudget>)>,
    pub pods: Vec<(i64, Event<PodView>)>,
    pub deployments: Vec<(i64, Event<DeploymentView>)>,
    pub sets: Vec<(i64, Event<ReplicaSetView>)>,
    pub autoscalers: Vec<(i64, Event<AutoscalerView>)>,
    pub stateful_sets: Vec<(i64, Event<StatefulSetView>)>,
    pub daemon_sets: Vec<(i64, Event<DaemonSetView>)>,
    pub jobs: Vec<(i64, Event<JobView>)>,
    pub cron_jobs: Vec<(i64, Event<CronJobView>)>,
    pub disruptions: usize,
}

impl Log {
    pub fn len(&self, kind: Kind) -> usize {
        match kind {
            Kind::Budgets => self.budgets.len(),
            Kind::Pods => self.pods.len(),
            Kind::Deployments => self.deployments.len(),
            Kind::ReplicaSets => self.sets.len(),
            Kind::Autoscalers => self.autoscalers.len(),
            Kind::StatefulSets => self.stateful_sets.len(),
            Kind::DaemonSets => self.daemon_sets.len(),
            Kind::Jobs => self.jobs.len(),
            Kind::CronJobs => self.cron_jobs.len(),
            Kind::Disruptions => self.disruptions,
        }
    }
}

#[derive(Default)]
pub struct Cluster {
    version: u64,
    pub(super) pods_born: u32,
    budgets_born: u32,
    pub templates: Vec<Facts>,
    pub apps: Vec<App>,
    pub pods: BTreeMap<u32, Pod>,
    pub ghosts: Vec<Ghost>,
    pub budgets: [Option<DbConnectionBudget>; BUDGETS.len()],
    /// Nodes whose objects were deleted while they were lost.
    pub nodes_gone: [bool; NODES],
    /// Since when each node is lost.
    pub nodes_lost: [Option<i64>; NODES],
    /// Whether the admission policies are out of force.
    pub gate_is_off: bool,
    pub log: Log,
    pub work: Vec<Work>,
    /// Pods that were evicted or deleted to make room.
    pub restarts: u64,
}

impl Cluster {
    pub fn stamp(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    pub fn new_template(&mut self, facts: Facts) -> Template {
        let id = u32::try_from(self.templates.len()).expect("few templates");
        self.templates.push(facts);
        Template { id, good: facts.good, processes: facts.processes, labelled: facts.budget.is_some() }
    }

    pub fn facts(&self, template: u32) -> Facts {
        self.templates[template as usize]
    }

    /// The workloads of a kind.
    pub fn apps_of(&self, kind: WorkloadKind) -> impl Iterator<Item = usize> {
        (0..self.apps.len()).filter(move |app| self.apps[*app].kind() == kind)
    }

    /// The objects from which the workloads of a kind create their pods.
    pub fn parts_of(&self, kind: WorkloadKind) -> impl Iterator<Item = (usize, u32)> {
        self.apps_of(kind).flat_map(|app| self.apps[app].parts.keys().map(move |template| (app, *template)))
    }

    /// A controller has a pod to handle.
    pub(super) fn tell_maker(&mut self, app: usize, template: u32) {
        self.work.push(match self.apps[app].maker {
            Maker::Deployment(_) | Maker::CronJob(_) => Work::Part(app, template),
            _ => Work::Workload(app),
        });
    }

    // Changes of objects.

    pub fn touch_workload(&mut self, app: usize) {
        self.apps[app].version = self.stamp();
        let now = clock::now();
        let kind = match &self.apps[app].maker {
            Maker::Deployment(_) => {
                self.log.deployments.push((now, Event::Apply(objects::deployment(self, app))));
                Kind::Deployments
            }
            Maker::StatefulSet(_) => {
                self.log.stateful_sets.push((now, Event::Apply(objects::stateful_set(self, app))));
                Kind::StatefulSets
            }
            Maker::DaemonSet { .. } => {
                self.log.daemon_sets.push((now, Event::Apply(objects::daemon_set(self, app))));
                Kind::DaemonSets
            }
            Maker::Job(_) => {
                self.log.jobs.push((now, Event::Apply(objects::job(self, app))));
                Kind::Jobs
            }
            Maker::CronJob(_) => {
                self.log.cron_jobs.push((now, Event::Apply(objects::cron_job(self, app))));
                Kind::CronJobs
            }
        };
        self.work.push(Work::Watches(kind));
    }

    /// A user edits a workload.
    pub fn edit_workload(&mut self, app: usize, edit: impl FnOnce(&mut App)) {
        edit(&mut self.apps[app]);
        self.apps[app].unobserve();
        self.apps[app].generation += 1;
        self.touch_workload(app);
        self.work.push(Work::Workload(app));
    }

    /// A user gives a workload another template; a Job is deleted and recreated under the same name.
    pub fn renew_workload(&mut self, app: usize, template: Template) {
        if let Maker::Job(_) = self.apps[app].maker {
            self.apps[app].version = self.stamp();
            self.log.jobs.push((clock::now(), Event::Delete(objects::job(self, app))));
        }
        self.edit_workload(app, |workload| workload.renew(template));
    }

    /// The object from which a workload creates the pods of a template has changed.
    pub fn touch_part(&mut self, app: usize, template: u32) {
        let version = self.stamp();
        self.apps[app].parts.insert(template, version);
        let now = clock::now();
        if let Maker::Deployment(_) = self.apps[app].maker {
            self.log.sets.push((now, Event::Apply(objects::replica_set(self, app, template))));
            self.work.push(Work::Watches(Kind::ReplicaSets));
        } else {
            self.log.jobs.push((now, Event::Apply(objects::run(self, app, template))));
            self.work.push(Work::Watches(Kind::Jobs));
        }
    }

    /// A Job of a CronJob is deleted; the garbage collector finds its pods later.
    pub fn remove_run(&mut self, app: usize, template: u32) {
        if !self.apps[app].parts.contains_key(&template) {
            return;
        }
        let version = self.stamp();
        self.apps[app].parts.insert(template, version);
        self.log.jobs.push((clock::now(), Event::Delete(objects::run(self, app, template))));
        self.work.push(Work::Watches(Kind::Jobs));
        self.apps[app].parts.remove(&template);
        if let Maker::CronJob(runs) = &mut self.apps[app].maker {
            runs.jobs.retain(|job| job.template.id != template);
        }
        self.work.push(Work::Part(app, template));
    }

    pub fn set_autoscaler(&mut self, app: usize, most: Option<u32>) {
        let version = self.stamp();
        let Some(most) = most else {
            let Some((most, _)) = self.apps[app].autoscaler.take() else { return };
            let gone = objects::autoscaler(self.apps[app].kind(), app, most, version);
            self.log.autoscalers.push((clock::now(), Event::Delete(gone)));
            self.work.push(Work::Watches(Kind::Autoscalers));
            return;
        };
        self.apps[app].autoscaler = Some((most, version));
        let view = objects::autoscaler(self.apps[app].kind(), app, most, version);
        self.log.autoscalers.push((clock::now(), Event::Apply(view)));
        self.work.push(Work::Watches(Kind::Autoscalers));
    }

    pub fn set_disruption(&mut self, app: usize, disruption: Option<Disruption>) {
        self.apps[app].disruption = disruption;
        self.log.disruptions += 1;
        self.work.push(Work::Watches(Kind::Disruptions));
    }

    pub fn create_budget(&mut self, budget: usize, spec: DbConnectionBudgetSpec) {
        self.budgets_born += 1;
        let mut object = DbConnectionBudget::new(BUDGETS[budget], spec);
        object.metadata.namespace = Some(NAMESPACE.into());
        object.metadata.uid = Some(format!("budget-{}", self.budgets_born));
        object.metadata.generation = Some(1);
        self.store_budget(budget, object);
    }

    pub fn edit_budget(&mut self, budget: usize, edit: impl FnOnce(&mut DbConnectionBudgetSpec)) {
        let Some(mut object) = self.budgets[budget].clone() else { return };
        edit(&mut object.spec);
        object.metadata.generation = object.metadata.generation.map(|generation| generation + 1);
        self.store_budget(budget, object);
    }

    pub fn store_budget(&mut self, budget: usize, mut object: DbConnectionBudget) {
        object.metadata.resource_version = Some(self.stamp().to_string());
        self.log.budgets.push((clock::now(), Event::Apply(object.clone())));
        self.work.push(Work::Watches(Kind::Budgets));
        self.budgets[budget] = Some(object);
    }

    pub fn delete_budget(&mut self, budget: usize) {
        let Some(mut object) = self.budgets[budget].take() else { return };
        object.metadata.resource_version = Some(self.stamp().to_string());
        self.log.budgets.push((clock::now(), Event::Delete(object)));
        self.work.push(Work::Watches(Kind::Budgets));
    }
}
