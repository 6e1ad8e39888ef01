//! The cluster as it really is: what is stored in the API server, and what runs on the nodes.
//!
//! Every change of an object gets a version, is written to a log that the operator's watches read later, and leaves
//! work for the controllers. What a pod holds is counted here, by arithmetic of its own, from the moment at which its
//! gate is open until its processes have ended, whatever the API server or the operator believes.

use std::collections::BTreeMap;

use kube::runtime::watcher::Event;
use poolbudget::api::{DbConnectionBudget, DbConnectionBudgetSpec};
use poolbudget::cluster::autoscaler::AutoscalerView;
use poolbudget::cluster::pod::PodView;
use poolbudget::cluster::workload::{DeploymentView, ReplicaSetView};

use super::clock;
use super::model::deployment::{Deployment, Template};
use super::objects;

/// The one namespace.
pub(crate) const NAMESPACE: &str = "shop";
/// The budgets that may exist.
pub(crate) const BUDGETS: [&str; 2] = ["main", "side"];
/// What SQLAlchemy opens when nothing is said.
const LITERAL: u64 = 15;

pub(crate) type Notes = BTreeMap<String, String>;

/// What a template says, besides what its Deployment's controller looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Whether its pods become ready.
    pub(crate) good: bool,
    pub(crate) processes: u32,
    /// Which budget its label names.
    pub(crate) budget: Option<usize>,
}

/// A container's course, as its kubelet has reported it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reported {
    Waiting,
    Running,
    Ended,
}

#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) id: u32,
    pub(crate) app: usize,
    pub(crate) template: u32,
    pub(crate) facts: Facts,
    pub(crate) version: u64,
    pub(crate) created: i64,
    pub(crate) gated: bool,
    /// Whether its env reads the grant: it was made while the policies were in force.
    pub(crate) late_bound: bool,
    pub(crate) notes: Option<Notes>,
    pub(crate) node: Option<(usize, i64)>,
    pub(crate) reported: Reported,
    pub(crate) ready: bool,
    /// Since when it is ready, or is not.
    pub(crate) ready_since: i64,
    pub(crate) restarts: u32,
    pub(crate) deleting: bool,
    /// Its processes have ended for good.
    pub(crate) over: bool,
    /// Seconds that its containers get to end.
    pub(crate) grace: i64,
}

/// What went on running when its object was gone.
#[derive(Clone, Debug)]
pub(crate) struct Ghost {
    pub(crate) budget: usize,
    pub(crate) bill: u64,
    pub(crate) since: i64,
    pub(crate) until: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disruption {
    /// At least so many healthy pods.
    MinAvailable(u32),
    /// At most so many of the wanted ones missing.
    MaxUnavailable(u32),
}

#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) deployment: Deployment,
    pub(crate) version: u64,
    pub(crate) generation: i64,
    pub(crate) observed: i64,
    /// Versions of its ReplicaSets, in the order of its sets.
    pub(crate) sets: Vec<u64>,
    /// maxReplicas of its autoscaler, and that object's version.
    pub(crate) autoscaler: Option<(u32, u64)>,
    pub(crate) disruption: Option<Disruption>,
}

/// A kind of object that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Budgets,
    Pods,
    Deployments,
    ReplicaSets,
    Autoscalers,
    Disruptions,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] = [
        Self::Budgets,
        Self::Pods,
        Self::Deployments,
        Self::ReplicaSets,
        Self::Autoscalers,
        Self::Disruptions,
    ];
}

/// What changed, and so leaves work for somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Watches(Kind),
    Deployment(usize),
    ReplicaSet(usize, u32),
    /// A pod may be bound to a node.
    Scheduler(u32),
    /// A pod's deletion has begun.
    Kubelet(u32),
}

/// Every change, with its time.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) budgets: Vec<(i64, Event<DbConnectionBudget>)>,
    pub(crate) pods: Vec<(i64, Event<PodView>)>,
    pub(crate) deployments: Vec<(i64, Event<DeploymentView>)>,
    pub(crate) sets: Vec<(i64, Event<ReplicaSetView>)>,
    pub(crate) autoscalers: Vec<(i64, Event<AutoscalerView>)>,
    pub(crate) disruptions: usize,
}

impl Log {
    pub(crate) fn len(&self, kind: Kind) -> usize {
        match kind {
            Kind::Budgets => self.budgets.len(),
            Kind::Pods => self.pods.len(),
            Kind::Deployments => self.deployments.len(),
            Kind::ReplicaSets => self.sets.len(),
            Kind::Autoscalers => self.autoscalers.len(),
            Kind::Disruptions => self.disruptions,
        }
    }
}

#[derive(Default)]
pub(crate) struct Cluster {
    version: u64,
    pods_born: u32,
    budgets_born: u32,
    pub(crate) templates: Vec<Facts>,
    pub(crate) apps: Vec<App>,
    pub(crate) pods: BTreeMap<u32, Pod>,
    pub(crate) ghosts: Vec<Ghost>,
    pub(crate) budgets: [Option<DbConnectionBudget>; BUDGETS.len()],
    /// Whether the admission policies are out of force.
    pub(crate) gate_is_off: bool,
    pub(crate) log: Log,
    pub(crate) work: Vec<Work>,
    /// Pods that were evicted or deleted to make room.
    pub(crate) restarts: u64,
}

impl Cluster {
    pub(crate) fn stamp(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    pub(crate) fn new_template(&mut self, facts: Facts) -> Template {
        let id = u32::try_from(self.templates.len()).expect("few templates");
        self.templates.push(facts);
        Template { id, good: facts.good, processes: facts.processes, labelled: facts.budget.is_some() }
    }

    pub(crate) fn facts(&self, template: u32) -> Facts {
        self.templates[template as usize]
    }

    // What pods hold.

    /// What the pods with a grant of a budget hold now, in truth.
    pub(crate) fn held(&self, budget: usize) -> u64 {
        let pods = self.pods.values().filter(|pod| pod.facts.budget == Some(budget) && pod.is_granted());
        let ghosts = self.ghosts.iter().filter(|ghost| ghost.budget == budget);
        pods.map(Pod::bill).sum::<u64>() + ghosts.map(|ghost| ghost.bill).sum::<u64>()
    }

    /// What the pods of a budget hold that passed the gate without a grant.
    pub(crate) fn escaped(&self, budget: usize) -> u64 {
        let pods = self.pods.values().filter(|pod| pod.facts.budget == Some(budget) && !pod.is_granted());
        pods.map(Pod::bill).sum()
    }

    /// limit − reserved − what escaped the gate.
    pub(crate) fn usable(&self, budget: usize) -> Option<u64> {
        Some(self.available(budget)?.saturating_sub(self.escaped(budget)))
    }

    /// limit − reserved.
    pub(crate) fn available(&self, budget: usize) -> Option<u64> {
        let spec = &self.budgets[budget].as_ref()?.spec;
        let limit = spec.limit.connections.expect("a number");
        Some(u64::from(limit).saturating_sub(u64::from(spec.reserved)))
    }

    pub(crate) fn own_pods(&self, app: usize, template: u32) -> impl Iterator<Item = &Pod> {
        self.pods.values().filter(move |pod| pod.app == app && pod.template == template)
    }

    // Changes of objects.

    /// A pod changed.
    pub(crate) fn touch_pod(&mut self, id: u32) {
        let version = self.stamp();
        let Some(pod) = self.pods.get_mut(&id) else { return };
        pod.version = version;
        let (app, template) = (pod.app, pod.template);
        // The watch selects by label.
        if pod.facts.budget.is_some() {
            let view = objects::pod(pod);
            self.log.pods.push((clock::now(), Event::Apply(view)));
            self.work.push(Work::Watches(Kind::Pods));
        }
        self.work.push(Work::ReplicaSet(app, template));
    }

    pub(crate) fn create_pod(&mut self, app: usize, template: u32) {
        self.pods_born += 1;
        let id = self.pods_born;
        let facts = self.facts(template);
        let gated = facts.budget.is_some() && !self.gate_is_off;
        let mut notes = Notes::new();
        if facts.processes != 1 {
            notes.insert("poolbudget.dev/processes".into(), facts.processes.to_string());
        } else if id.is_multiple_of(2) {
            notes.insert("team".into(), "blue".into());
        }
        let pod = Pod {
            id,
            app,
            template,
            facts,
            version: 0,
            created: clock::now(),
            gated,
            late_bound: gated,
            // Some pods come without any annotation.
            notes: Some(notes).filter(|notes| !notes.is_empty()),
            node: None,
            reported: Reported::Waiting,
            ready: false,
            ready_since: clock::now(),
            restarts: 0,
            deleting: false,
            over: false,
            grace: 30,
        };
        self.pods.insert(id, pod);
        self.touch_pod(id);
        if !gated {
            self.work.push(Work::Scheduler(id));
        }
    }

    /// The object goes.
    pub(crate) fn remove_pod(&mut self, id: u32) {
        let Some(mut pod) = self.pods.remove(&id) else { return };
        pod.version = self.stamp();
        if pod.facts.budget.is_some() {
            self.log.pods.push((clock::now(), Event::Delete(objects::pod(&pod))));
            self.work.push(Work::Watches(Kind::Pods));
        }
        self.work.push(Work::ReplicaSet(pod.app, pod.template));
        self.work.push(Work::Deployment(pod.app));
    }

    /// A deletion with grace: at once for a pod that is on no node.
    pub(crate) fn begin_deletion(&mut self, id: u32) {
        let Some(pod) = self.pods.get_mut(&id) else { return };
        if pod.node.is_none() {
            self.remove_pod(id);
        } else if !pod.deleting {
            pod.deleting = true;
            self.touch_pod(id);
            self.work.push(Work::Kubelet(id));
        }
    }

    /// A deletion by force: the object is gone at once, its processes go on for so many milliseconds.
    pub(crate) fn force_deletion(&mut self, id: u32, lives_on: i64) {
        let Some(pod) = self.pods.get(&id) else { return };
        if let Some(budget) = pod.facts.budget
            && pod.is_granted()
            && pod.node.is_some()
            && !pod.over
        {
            self.ghosts.push(Ghost {
                budget,
                bill: pod.bill(),
                since: clock::now(),
                until: clock::now() + lives_on,
            });
        }
        self.remove_pod(id);
    }

    pub(crate) fn touch_deployment(&mut self, app: usize) {
        self.apps[app].version = self.stamp();
        let view = objects::deployment(self, app);
        self.log.deployments.push((clock::now(), Event::Apply(view)));
        self.work.push(Work::Watches(Kind::Deployments));
    }

    /// A user edits a Deployment.
    pub(crate) fn edit_deployment(&mut self, app: usize, edit: impl FnOnce(&mut Deployment)) {
        edit(&mut self.apps[app].deployment);
        self.apps[app].deployment.observed = false;
        self.apps[app].generation += 1;
        self.touch_deployment(app);
        self.work.push(Work::Deployment(app));
    }

    pub(crate) fn touch_set(&mut self, app: usize, set: usize) {
        let version = self.stamp();
        let versions = &mut self.apps[app].sets;
        versions.resize(versions.len().max(set + 1), 0);
        versions[set] = version;
        let view = objects::replica_set(self, app, set);
        self.log.sets.push((clock::now(), Event::Apply(view)));
        self.work.push(Work::Watches(Kind::ReplicaSets));
    }

    pub(crate) fn set_autoscaler(&mut self, app: usize, most: Option<u32>) {
        let version = self.stamp();
        let Some(most) = most else {
            let Some((most, _)) = self.apps[app].autoscaler.take() else { return };
            let gone = objects::autoscaler(app, most, version);
            self.log.autoscalers.push((clock::now(), Event::Delete(gone)));
            self.work.push(Work::Watches(Kind::Autoscalers));
            return;
        };
        self.apps[app].autoscaler = Some((most, version));
        let view = objects::autoscaler(app, most, version);
        self.log.autoscalers.push((clock::now(), Event::Apply(view)));
        self.work.push(Work::Watches(Kind::Autoscalers));
    }

    pub(crate) fn set_disruption(&mut self, app: usize, disruption: Option<Disruption>) {
        self.apps[app].disruption = disruption;
        self.log.disruptions += 1;
        self.work.push(Work::Watches(Kind::Disruptions));
    }

    pub(crate) fn create_budget(&mut self, budget: usize, spec: DbConnectionBudgetSpec) {
        self.budgets_born += 1;
        let mut object = DbConnectionBudget::new(BUDGETS[budget], spec);
        object.metadata.namespace = Some(NAMESPACE.into());
        object.metadata.uid = Some(format!("budget-{}", self.budgets_born));
        object.metadata.generation = Some(1);
        self.store_budget(budget, object);
    }

    pub(crate) fn edit_budget(&mut self, budget: usize, edit: impl FnOnce(&mut DbConnectionBudgetSpec)) {
        let Some(mut object) = self.budgets[budget].clone() else { return };
        edit(&mut object.spec);
        object.metadata.generation = object.metadata.generation.map(|generation| generation + 1);
        self.store_budget(budget, object);
    }

    pub(crate) fn store_budget(&mut self, budget: usize, mut object: DbConnectionBudget) {
        object.metadata.resource_version = Some(self.stamp().to_string());
        self.log.budgets.push((clock::now(), Event::Apply(object.clone())));
        self.work.push(Work::Watches(Kind::Budgets));
        self.budgets[budget] = Some(object);
    }

    pub(crate) fn delete_budget(&mut self, budget: usize) {
        let Some(mut object) = self.budgets[budget].take() else { return };
        object.metadata.resource_version = Some(self.stamp().to_string());
        self.log.budgets.push((clock::now(), Event::Delete(object)));
        self.work.push(Work::Watches(Kind::Budgets));
    }
}

impl Pod {
    pub(crate) fn name(&self) -> String {
        format!("w{}-{}-{}", self.app, self.template, self.id)
    }

    pub(crate) fn uid(&self) -> String {
        format!("{:05}", self.id)
    }

    fn note(&self, name: &str) -> Option<u64> {
        self.notes.as_ref()?.get(name)?.parse().ok()
    }

    /// Whether it came through the gate.
    pub(crate) fn is_granted(&self) -> bool {
        !self.gated && self.late_bound
    }

    /// What it may hold now: nothing behind the gate and nothing after its processes ended.
    pub(crate) fn bill(&self) -> u64 {
        if self.gated || self.over {
            return 0;
        }
        let processes = u64::from(self.facts.processes);
        if !self.late_bound {
            return LITERAL * processes;
        }
        let pool = self.note("poolbudget.dev/pool-size").expect("a size");
        let overflow = self.note("poolbudget.dev/max-overflow").expect("an overflow");
        assert!(pool > 0, "a pool of size 0 has no limit");
        (pool + overflow) * processes
    }
}
