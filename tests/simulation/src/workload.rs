//! A workload of any kind: what its user states, the model of its controller, and what all kinds have in common.
//!
//! In: edits by users. Out: what its controller and the operator's watches read. It changes no pod.

use std::collections::BTreeMap;
use std::time::Duration;

use poolbudget::api::WorkloadKind;
use testkit::model::IntOrPercent;
use testkit::model::cron_job::{Concurrency, CronJob};
use testkit::model::daemon_set::{self, DaemonSet};
use testkit::model::deployment::{Deployment, Strategy, Template};
use testkit::model::job::Job;
use testkit::model::stateful_set::{self, StatefulSet};

use super::cluster::Disruption;

/// A kind of workload, and how it replaces its pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Deployment(Strategy),
    StatefulSet {
        parallel: bool,
        update: stateful_set::Update,
    },
    /// Its replicas are its nodes, from the first one on.
    DaemonSet(daemon_set::Update),
    /// Its replicas are its parallelism.
    Job(Task),
    /// One run per this many seconds.
    CronJob(Task, u32, Concurrency),
}

/// What a Job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    pub completions: Option<u32>,
    /// Whether a pod is replaced as soon as its deletion begins.
    pub replaces_terminating: bool,
}

/// The controller of a workload, with what its user wants.
#[derive(Clone, Debug)]
pub enum Maker {
    Deployment(Deployment),
    StatefulSet(StatefulSet),
    DaemonSet { set: DaemonSet, nodes: u32 },
    Job(Job),
    CronJob(Runs),
}

/// A CronJob with its Jobs. Each Job has a template of its own, which identifies it.
#[derive(Clone, Debug)]
pub struct Runs {
    pub cron: CronJob,
    pub pattern: Job,
    pub jobs: Vec<Job>,
}

/// What a controller has written into the status of a workload, as far as anything reads it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub pods: usize,
    pub ready: usize,
    /// Pods of the newest template, nodes that should have a pod, and nodes that have one but should not.
    pub updated: usize,
    pub desired: usize,
    pub misplaced: usize,
}

#[derive(Clone, Debug)]
pub struct App {
    pub maker: Maker,
    pub version: u64,
    pub generation: i64,
    pub observed: i64,
    /// The newest template that its controller has seen.
    pub seen: u32,
    /// How often its template has changed.
    pub template_generation: u32,
    pub counts: Counts,
    /// Versions of the objects from which it creates its pods, by their template: ReplicaSets, or the Jobs of a
    /// CronJob.
    pub parts: BTreeMap<u32, u64>,
    /// Its templates, the newest last.
    pub history: Vec<Template>,
    /// maxReplicas of its autoscaler, and the autoscaler's version.
    pub autoscaler: Option<(u32, u64)>,
    pub disruption: Option<Disruption>,
}

impl Form {
    pub const fn kind(self) -> WorkloadKind {
        match self {
            Self::Deployment(_) => WorkloadKind::Deployment,
            Self::StatefulSet { .. } => WorkloadKind::StatefulSet,
            Self::DaemonSet(_) => WorkloadKind::DaemonSet,
            Self::Job(_) => WorkloadKind::Job,
            Self::CronJob(..) => WorkloadKind::CronJob,
        }
    }

    /// Whether its pods end by themselves.
    pub const fn is_task(self) -> bool {
        matches!(self, Self::Job(_) | Self::CronJob(..))
    }

    /// Whether an autoscaler can scale it.
    pub const fn is_scalable(self) -> bool {
        matches!(self, Self::Deployment(_) | Self::StatefulSet { .. })
    }

    fn maker(self, replicas: u32, template: Template, now: Duration) -> Maker {
        match self {
            Self::Deployment(strategy) => Maker::Deployment(Deployment::new(replicas, strategy, template)),
            Self::StatefulSet { parallel, update } => {
                Maker::StatefulSet(StatefulSet::new(replicas, parallel, update, template))
            }
            Self::DaemonSet(update) => {
                Maker::DaemonSet { set: DaemonSet::new(update, template), nodes: replicas }
            }
            Self::Job(task) => Maker::Job(task.job(replicas, template)),
            Self::CronJob(task, period, concurrency) => Maker::CronJob(Runs {
                cron: CronJob::new(Duration::from_secs(period.into()), concurrency, now),
                pattern: task.job(replicas, template),
                jobs: Vec::new(),
            }),
        }
    }
}

impl Task {
    fn job(self, parallelism: u32, template: Template) -> Job {
        let Self { completions, replaces_terminating } = self;
        Job { replaces_terminating, ..Job::new(parallelism, completions, template) }
    }
}

impl App {
    pub fn new(form: Form, replicas: u32, template: Template, now: Duration) -> Self {
        Self {
            maker: form.maker(replicas, template, now),
            version: 0,
            generation: 1,
            observed: 0,
            seen: template.id,
            template_generation: 1,
            counts: Counts::default(),
            parts: BTreeMap::new(),
            history: vec![template],
            autoscaler: None,
            disruption: None,
        }
    }

    pub const fn kind(&self) -> WorkloadKind {
        match self.maker {
            Maker::Deployment(_) => WorkloadKind::Deployment,
            Maker::StatefulSet(_) => WorkloadKind::StatefulSet,
            Maker::DaemonSet { .. } => WorkloadKind::DaemonSet,
            Maker::Job(_) => WorkloadKind::Job,
            Maker::CronJob(_) => WorkloadKind::CronJob,
        }
    }

    /// Whether its pods end by themselves.
    pub const fn is_task(&self) -> bool {
        matches!(self.maker, Maker::Job(_) | Maker::CronJob(_))
    }

    /// The template that is wanted now.
    pub const fn template(&self) -> Template {
        match &self.maker {
            Maker::Deployment(deployment) => deployment.template,
            Maker::StatefulSet(set) => set.template,
            Maker::DaemonSet { set, .. } => set.template,
            Maker::Job(job) => job.template,
            Maker::CronJob(runs) => runs.pattern.template,
        }
    }

    /// The number by which its user scales it.
    pub const fn replicas(&self) -> u32 {
        match &self.maker {
            Maker::Deployment(deployment) => deployment.replicas,
            Maker::StatefulSet(set) => set.replicas,
            Maker::DaemonSet { nodes, .. } => *nodes,
            Maker::Job(job) => job.parallelism,
            Maker::CronJob(runs) => runs.pattern.parallelism,
        }
    }

    pub fn scale(&mut self, replicas: u32) {
        match &mut self.maker {
            Maker::Deployment(deployment) => deployment.replicas = replicas,
            Maker::StatefulSet(set) => set.replicas = replicas,
            Maker::DaemonSet { nodes, .. } => *nodes = replicas,
            Maker::Job(job) => job.parallelism = replicas,
            Maker::CronJob(runs) => runs.pattern.parallelism = replicas,
        }
    }

    /// Gives it another template. A Job cannot get one: it is deleted and recreated.
    pub fn renew(&mut self, template: Template) {
        self.history.push(template);
        self.template_generation += 1;
        match &mut self.maker {
            Maker::Deployment(deployment) => deployment.template = template,
            Maker::StatefulSet(set) => set.template = template,
            Maker::DaemonSet { set, .. } => set.template = template,
            Maker::CronJob(runs) => runs.pattern.template = template,
            Maker::Job(job) => {
                let Job { parallelism, completions, replaces_terminating, .. } = *job;
                *job = Job { replaces_terminating, ..Job::new(parallelism, completions, template) };
            }
        }
    }

    /// Changes how it replaces its pods, as far as its kind allows.
    pub fn reform(&mut self, form: Form) {
        match (&mut self.maker, form) {
            (Maker::Deployment(deployment), Form::Deployment(strategy)) => deployment.strategy = strategy,
            (Maker::StatefulSet(set), Form::StatefulSet { update, .. }) => set.update = update,
            (Maker::DaemonSet { set, .. }, Form::DaemonSet(update)) => set.update = update,
            (Maker::CronJob(runs), Form::CronJob(_, _, concurrency)) => runs.cron.concurrency = concurrency,
            _ => {}
        }
    }

    /// Makes it replace all pods of older templates by itself.
    pub fn roll_all(&mut self) {
        match &mut self.maker {
            Maker::StatefulSet(set) => {
                set.update = stateful_set::Update::Rolling { partition: 0, max_unavailable: None };
            }
            Maker::DaemonSet { set, .. } if set.update == daemon_set::Update::OnDelete => {
                let (max_surge, max_unavailable) = (IntOrPercent::Int(0), IntOrPercent::Int(1));
                set.update = daemon_set::Update::Rolling { max_surge, max_unavailable };
            }
            _ => {}
        }
    }

    /// Its controller has not seen its latest spec yet.
    pub const fn unobserve(&mut self) {
        match &mut self.maker {
            Maker::Deployment(deployment) => deployment.observed = false,
            Maker::StatefulSet(set) => set.observed = false,
            Maker::DaemonSet { set, .. } => set.observed = false,
            Maker::Job(_) | Maker::CronJob(_) => {}
        }
    }

    pub const fn is_observed(&self) -> bool {
        match &self.maker {
            Maker::Deployment(deployment) => deployment.observed,
            Maker::StatefulSet(set) => set.observed,
            Maker::DaemonSet { set, .. } => set.observed,
            Maker::Job(_) | Maker::CronJob(_) => true,
        }
    }

    /// Kind and name of the object that creates the pods of a template.
    pub fn owner_of(&self, app: usize, template: u32) -> (WorkloadKind, String) {
        match self.maker {
            Maker::Deployment(_) => (WorkloadKind::ReplicaSet, format!("w{app}-{template}")),
            Maker::CronJob(_) => (WorkloadKind::Job, format!("w{app}-{template}")),
            _ => (self.kind(), format!("w{app}")),
        }
    }

    /// What its controller writes on the pods of a template, besides the template's own labels.
    pub fn marks(&self, app: usize, template: u32) -> Vec<(&'static str, String)> {
        let revision = ("controller-revision-hash", revision(app, template));
        match self.maker {
            Maker::StatefulSet(_) => vec![revision],
            Maker::DaemonSet { .. } => {
                vec![revision, ("pod-template-generation", self.template_generation.to_string())]
            }
            _ => Vec::new(),
        }
    }
}

/// The name of a revision of a StatefulSet or DaemonSet.
pub fn revision(app: usize, template: u32) -> String {
    format!("w{app}-r{template}")
}
