//! A full database: which pod has how many of its connections, and which pod gets none.
//!
//! In: pods whose containers run. Out: whether one of them is answered. Pods that are already connected are busy: they
//! open everything that they may before another pod gets a connection. [`super::pods`] counts what pods may hold at
//! most; this file has what they really have open, and for how long that outlives them.

use super::cluster::Cluster;
use super::pods::{Pod, Reported};
use super::sim::Sim;

impl Cluster {
    /// Whether a pod has a connection, or gets one now. Without a `limit` every pod does.
    pub(crate) fn connects(&mut self, id: u32, limit: Option<u64>) -> bool {
        let Some(limit) = limit else { return true };
        let lingers: u64 = self.ghosts.iter().map(|ghost| ghost.bill).sum();
        let open: u64 = self.pods.values().map(|pod| pod.open).sum();
        let mut left = limit.saturating_sub(lingers + open);
        let connected: Vec<u32> = self.pods.values().filter(|pod| pod.open > 0).map(|pod| pod.id).collect();
        for pod in connected.into_iter().chain([id]) {
            let Some(pod) = self.pods.get_mut(&pod) else { continue };
            let more = pod.bill().saturating_sub(pod.open).min(left);
            (pod.open, left) = (pod.open + more, left - more);
        }
        self.pods.get(&id).is_some_and(|pod| pod.open > 0)
    }
}

impl Pod {
    /// Its processes have ended, and the server has seen that.
    pub(crate) const fn disconnect(&mut self) {
        self.open = 0;
    }
}

impl Sim {
    /// Whether the database answers a pod that starts. False if it will try again.
    pub(super) fn finds_a_connection(&mut self, id: u32) -> bool {
        let Some(pod) = self.cluster.pods.get(&id).filter(|_| self.plan.full) else { return true };
        let asks = pod.facts.good && !pod.deleting && pod.reported == Reported::Running;
        let lost = pod.node.is_some_and(|(node, _)| self.nodes_down[node]);
        !asks || lost || self.cluster.connects(id, self.cluster.limit())
    }

    /// For how many milliseconds the connections of a pod outlive its processes.
    pub(crate) fn linger(&mut self, id: u32) -> i64 {
        let Some(pod) = self.cluster.pods.get(&id).filter(|pod| pod.is_granted()) else { return 0 };
        let stated = |budget: usize| {
            let terms = self.plan.budgets.get(budget)?;
            self.cluster.budgets[budget].is_some().then_some(terms.linger)
        };
        let most = pod.facts.budget.and_then(stated).unwrap_or(0);
        if most == 0 { 0 } else { self.nodes.between(0, most * 1000).into() }
    }
}
