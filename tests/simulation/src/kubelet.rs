//! The lives of pods: bound, started, ready, crashed, drained, gone; and nodes that are lost.
//!
//! Each step is one call. A kubelet reports late, and a lost node reports nothing.

use poolbudget::api::DbConnectionBudgetStatus;
use poolbudget::cluster::node::{NodeSight, Roll};
use testkit::model::job::End;

use super::clock;
use super::cluster::{Cluster, Ghost, Left};
use super::pods::{Pod, Reported, Role};

/// A step in a pod's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// The scheduler has found a node.
    Bind,
    /// Its container runs, and opens connections.
    Start,
    /// The kubelet reports it.
    TellRunning,
    /// It is ready.
    Ready,
    /// Its container ended and will be restarted.
    Crash,
    /// It runs again.
    Restart,
    /// Its work is done: its processes end by themselves.
    Finish,
    /// The kubelet reports it.
    TellFinished,
    /// All its processes have ended.
    Stop,
    /// The kubelet reports it.
    TellEnded,
    /// Its object goes.
    Remove,
}

impl Cluster {
    /// Takes a step, if the pod still exists and its node lives. False if a lost node has to come back first.
    pub(crate) fn live(&mut self, id: u32, step: Step, nodes_down: &[bool]) -> bool {
        let Some(pod) = self.pods.get_mut(&id) else { return true };
        if step != Step::Bind && pod.node.is_some_and(|(node, _)| nodes_down[node]) {
            return false;
        }
        let was = (pod.node, pod.reported, pod.ready);
        match step {
            Step::Bind => {
                // The first living node.
                let first = id as usize % nodes_down.len();
                let mut order = (0..nodes_down.len()).map(|offset| (first + offset) % nodes_down.len());
                let fits = |node: &usize| !matches!(pod.role, Role::Node(own) if own != *node);
                let Some(node) = order.find(|node| !nodes_down[*node] && fits(node)) else { return false };
                pod.node = pod.node.or(Some((node, clock::now())));
            }
            Step::Start | Step::Restart => {}
            Step::TellRunning if !pod.over => pod.reported = Reported::Running,
            Step::Ready if pod.facts.good && !pod.deleting && pod.reported == Reported::Running => {
                pod.ready = true;
            }
            // A failed pod of a Job is replaced by another one.
            Step::Crash if pod.role == Role::Task && !pod.over && pod.reported == Reported::Running => {
                (pod.over, pod.end) = (true, Some(End::Failed));
            }
            Step::Finish if !pod.over && !pod.deleting && pod.reported == Reported::Running => {
                (pod.over, pod.end) = (true, Some(End::Complete));
            }
            Step::TellFinished if pod.end.is_some() => {
                (pod.reported, pod.ready, pod.finished) = (Reported::Ended, false, true);
            }
            Step::Crash if !pod.over && pod.reported == Reported::Running => {
                (pod.reported, pod.ready) = (Reported::Waiting, false);
                pod.restarts += 1;
                pod.disconnect();
            }
            Step::Stop => pod.over = true,
            Step::TellEnded => (pod.reported, pod.ready) = (Reported::Ended, false),
            Step::Remove => {
                self.remove_pod(id);
                return true;
            }
            _ => {}
        }
        if pod.over {
            pod.disconnect();
        }
        if pod.ready != was.2 {
            pod.ready_since = clock::now();
        }
        if (pod.node, pod.reported, pod.ready) != was {
            self.touch_pod(id);
        }
        true
    }

    /// What ended in a pod since its state `before` leaves its connections open for this many milliseconds.
    pub(crate) fn leave_open(&mut self, before: &Pod, linger: i64) {
        let Some(pod) = self.pods.get(&before.id) else { return };
        let left = if pod.over && !before.over {
            Left::Ended
        } else if pod.restarts > before.restarts {
            Left::Restarted { entry: format!("{}-{}", pod.uid(), pod.restarts), named: None }
        } else {
            return;
        };
        if let Some(budget) = pod.facts.budget.filter(|_| linger > 0) {
            let (since, bill) = (clock::now(), before.bill());
            self.ghosts.push(Ghost {
                budget,
                bill,
                since,
                until: since + linger,
                waits_for: None,
                linger,
                left,
            });
        }
    }

    /// Records which entries a status names.
    pub(crate) fn note_named(&mut self, status: &DbConnectionBudgetStatus) {
        for ghost in &mut self.ghosts {
            if let Left::Restarted { entry, named: named @ None } = &mut ghost.left
                && status.ledger.quarantine.iter().any(|kept| kept.uid == *entry)
            {
                *named = Some(clock::now());
            }
        }
    }

    /// A budget begins without a status: nobody knows what vanished before `since`, or what lingers.
    pub(crate) fn forget_before(&mut self, budget: usize, since: i64) {
        let known =
            |ghost: &Ghost| ghost.budget != budget || (ghost.left == Left::Vanished && ghost.since >= since);
        self.ghosts.retain(known);
        for ghost in self.ghosts.iter_mut().filter(|ghost| ghost.budget == budget) {
            if ghost.waits_for.is_none() {
                ghost.until -= ghost.linger;
            }
            ghost.linger = 0;
        }
    }

    /// The node's pods are reported as not ready.
    pub(crate) fn mark_unknown(&mut self, node: usize) {
        for id in self.pods_on(node) {
            if let Some(pod) = self.pods.get_mut(&id)
                && pod.ready
            {
                (pod.ready, pod.ready_since) = (false, clock::now());
                self.touch_pod(id);
            }
        }
    }

    /// A node is lost: its kubelet reports and receives nothing.
    pub(crate) fn lose_node(&mut self, node: usize) {
        self.nodes_lost[node].get_or_insert_with(clock::now);
    }

    /// A kubelet is back, and ends what is gone by now, in its own time; or its machine is gone for good.
    pub(crate) fn end_ghosts_of(&mut self, node: usize, is_gone: bool) {
        for ghost in &mut self.ghosts {
            if let Some((at, lives_on)) = ghost.waits_for
                && at == node
            {
                ghost.until = clock::now() + ghost.linger + if is_gone { 0 } else { lives_on };
                ghost.waits_for = None;
            }
        }
    }

    /// A node as the API server shows it: its Lease is renewed every 10 seconds; after 40 seconds without, it is not
    /// Ready.
    pub(crate) fn node(&self, node: usize) -> Option<NodeSight> {
        let (now, lost) = (clock::now(), self.nodes_lost[node]);
        let ready = lost.is_none_or(|lost| now - lost < 40_000);
        let beat = lost.unwrap_or(now) / 10_000;
        (!self.nodes_gone[node]).then(|| NodeSight { ready, heartbeat: Some(beat.to_string()) })
    }

    /// All nodes.
    pub(crate) fn roll(&self) -> Roll {
        let sight = |node: usize| Some((format!("node-{node}"), self.node(node)?));
        (0..self.nodes_lost.len()).filter_map(sight).collect()
    }

    pub(crate) fn pods_on(&self, node: usize) -> Vec<u32> {
        let on = |pod: &&Pod| pod.node.is_some_and(|(at, _)| at == node);
        self.pods.values().filter(on).map(|pod| pod.id).collect()
    }
}
