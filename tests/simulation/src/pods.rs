//! Pods: what is stored about them, and what they really hold.
//!
//! What a pod holds is computed independently, from the moment when its gate is open until its processes have ended,
//! whatever the API server or the operator believes.

use kube::runtime::watcher::Event;
use poolbudget::api::{Mode, WorkloadKind};
use testkit::model::job::End;

use super::clock;
use super::cluster::{Cluster, Facts, Ghost, Kind, Left, Notes, Work};
use super::objects;

/// What SQLAlchemy opens by default.
const LITERAL: u64 = 15;

/// A container's state, as its kubelet has reported it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reported {
    Waiting,
    Running,
    Ended,
}

/// What distinguishes a pod from others of its template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Nothing.
    Any,
    /// Its ordinal in its StatefulSet, which is part of its name.
    Ordinal(u32),
    /// The one node that it may run on.
    Node(usize),
    /// It ends by itself when its work is done.
    Task,
}

impl Role {
    pub const fn ordinal(self) -> Option<u32> {
        if let Self::Ordinal(ordinal) = self { Some(ordinal) } else { None }
    }
}

#[derive(Clone, Debug)]
pub struct Pod {
    pub id: u32,
    pub name: String,
    pub app: usize,
    pub template: u32,
    pub role: Role,
    pub facts: Facts,
    /// Kind and name of the object that made it.
    pub owner: (WorkloadKind, String),
    /// The labels by which its controller recognizes its revision.
    pub marks: Vec<(&'static str, String)>,
    pub version: u64,
    pub created: i64,
    pub gated: bool,
    /// Whether its env reads the grant: it was created while the policies were in force.
    pub late_bound: bool,
    pub notes: Option<Notes>,
    pub node: Option<(usize, i64)>,
    pub reported: Reported,
    pub ready: bool,
    /// Since when it has been ready, or not ready.
    pub ready_since: i64,
    pub restarts: u32,
    pub deleting: bool,
    /// Its processes have ended for good.
    pub over: bool,
    /// They ended by themselves, with this result.
    pub end: Option<End>,
    /// Its kubelet has reported it.
    pub finished: bool,
    /// The garbage collector marked it Failed, whatever of it still runs.
    pub collected: bool,
    /// How many seconds its containers get to end.
    pub grace: i64,
    /// What it has open, if the database is simulated ([`super::server`]).
    pub open: u64,
}

impl Pod {
    pub fn uid(&self) -> String {
        format!("{:05}", self.id)
    }

    fn note(&self, name: &str) -> Option<u64> {
        self.notes.as_ref()?.get(name)?.parse().ok()
    }

    /// Whether it came through the gate with a grant.
    pub fn is_granted(&self) -> bool {
        !self.gated && self.late_bound
    }

    /// Whether it bypassed the gate without a grant.
    pub fn has_escaped(&self) -> bool {
        !self.late_bound && self.facts.budget.is_some() && !self.finished
    }

    /// What it may hold now: nothing behind the gate, and nothing after its processes ended.
    pub fn bill(&self) -> u64 {
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

impl Cluster {
    /// What the granted pods of a budget really hold now.
    pub fn held(&self, budget: usize) -> u64 {
        let pods = self.pods.values().filter(|pod| pod.facts.budget == Some(budget) && pod.is_granted());
        let ghosts = self.ghosts.iter().filter(|ghost| ghost.budget == budget);
        pods.map(Pod::bill).sum::<u64>() + ghosts.map(|ghost| ghost.bill).sum::<u64>()
    }

    /// The same, as far as it can be known: an event reports what a restarted container has left, and `knows` says
    /// which of these are known.
    pub fn held_as_far_as(&self, budget: usize, knows: impl Fn(i64, Option<i64>) -> bool) -> u64 {
        let unknown = self.ghosts.iter().filter(|ghost| {
            ghost.budget == budget
                && matches!(ghost.left, Left::Restarted { named, .. } if !knows(ghost.since, named))
        });
        self.held(budget) - unknown.map(|ghost| ghost.bill).sum::<u64>()
    }

    /// What pods of a budget without a grant hold.
    pub fn escaped(&self, budget: usize) -> u64 {
        let pods = self.pods.values().filter(|pod| pod.facts.budget == Some(budget) && !pod.is_granted());
        pods.map(Pod::bill).sum()
    }

    /// limit − reserved − what bypassed the gate.
    pub fn usable(&self, budget: usize) -> Option<u64> {
        Some(self.available(budget)?.saturating_sub(self.escaped(budget)))
    }

    /// limit − reserved.
    pub fn available(&self, budget: usize) -> Option<u64> {
        let spec = &self.budgets[budget].as_ref()?.spec;
        let limit = spec.limit.connections.expect("a number");
        Some(u64::from(limit).saturating_sub(u64::from(spec.reserved)))
    }

    /// Whether the mode of a budget limits no pods.
    pub fn is_free(&self, budget: usize) -> bool {
        self.budgets[budget].as_ref().is_some_and(|object| object.spec.mode == Mode::Observe)
    }

    /// What the status of a budget has granted to pods that still wait.
    pub fn promised(&self, budget: usize) -> u64 {
        let status = self.budgets[budget].as_ref().and_then(|object| object.status.as_ref());
        let grants = status.into_iter().flat_map(|status| &status.ledger.grants);
        let waits =
            |uid: &str| uid.parse().ok().and_then(|id: u32| self.pods.get(&id)).is_some_and(|pod| pod.gated);
        grants.filter(|grant| waits(&grant.uid)).map(|grant| grant.connections.unsigned_abs()).sum()
    }

    /// All connections of the first budget's database.
    pub fn limit(&self) -> Option<u64> {
        self.budgets[0].as_ref()?.spec.limit.connections.map(u64::from)
    }

    pub fn own_pods(&self, app: usize, template: u32) -> impl Iterator<Item = &Pod> {
        self.pods.values().filter(move |pod| pod.app == app && pod.template == template)
    }

    /// All pods of a workload.
    pub fn pods_of(&self, app: usize) -> impl Iterator<Item = &Pod> {
        self.pods.values().filter(move |pod| pod.app == app)
    }

    /// A pod changed.
    pub fn touch_pod(&mut self, id: u32) {
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
        self.tell_maker(app, template);
    }

    pub fn create_pod(&mut self, app: usize, template: u32, role: Role) {
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
            name: match role {
                Role::Ordinal(ordinal) => format!("w{app}-{ordinal}"),
                _ => format!("w{app}-{template}-{id}"),
            },
            app,
            template,
            role,
            facts,
            owner: self.apps[app].owner_of(app, template),
            marks: self.apps[app].marks(app, template),
            version: 0,
            created: clock::now(),
            gated,
            late_bound: gated,
            // Some pods have no annotations at all.
            notes: Some(notes).filter(|notes| !notes.is_empty()),
            node: None,
            reported: Reported::Waiting,
            ready: false,
            ready_since: clock::now(),
            restarts: 0,
            deleting: false,
            over: false,
            end: None,
            finished: false,
            collected: false,
            grace: 30,
            open: 0,
        };
        self.pods.insert(id, pod);
        self.touch_pod(id);
        if !gated {
            self.work.push(Work::Scheduler(id));
        }
    }

    /// The object is removed.
    pub fn remove_pod(&mut self, id: u32) {
        let Some(mut pod) = self.pods.remove(&id) else { return };
        pod.version = self.stamp();
        if pod.facts.budget.is_some() {
            self.log.pods.push((clock::now(), Event::Delete(objects::pod(&pod))));
            self.work.push(Work::Watches(Kind::Pods));
        }
        self.tell_maker(pod.app, pod.template);
        self.work.push(Work::Workload(pod.app));
    }

    /// A deletion with grace: immediate for a pod without a node.
    pub fn begin_deletion(&mut self, id: u32) {
        let Some(pod) = self.pods.get_mut(&id) else { return };
        if pod.node.is_none() {
            self.remove_pod(id);
        } else if !pod.deleting {
            pod.deleting = true;
            self.touch_pod(id);
            self.work.push(Work::Kubelet(id));
        }
    }

    /// The garbage collector ends a pod whose node is gone: it marks it Failed and force-deletes it.
    pub fn call_failed(&mut self, id: u32, lives_on: i64, linger: i64) {
        let Some(pod) = self.pods.get_mut(&id) else { return };
        if pod.end.is_none() {
            pod.collected = true;
            self.touch_pod(id);
        }
        self.force_deletion(id, lives_on, linger);
    }

    /// A forced deletion: the object is gone at once; its processes run for `lives_on` milliseconds from when their
    /// kubelet knows. Its connections outlive those by `linger` milliseconds.
    pub fn force_deletion(&mut self, id: u32, lives_on: i64, linger: i64) {
        let Some(pod) = self.pods.get(&id) else { return };
        let away = pod.node.map(|(node, _)| node).filter(|node| self.nodes_lost[*node].is_some());
        let waits_for = away.filter(|node| !self.nodes_gone[*node]).map(|node| (node, lives_on));
        if let Some(budget) = pod.facts.budget
            && pod.is_granted()
            && pod.node.is_some()
            && !pod.over
        {
            self.ghosts.push(Ghost {
                budget,
                bill: pod.bill(),
                since: clock::now(),
                until: if waits_for.is_some() { i64::MAX } else { clock::now() + lives_on + linger },
                waits_for,
                linger,
                left: Left::Vanished,
            });
        }
        self.remove_pod(id);
    }
}
