//! A database that is full: who has how many of its connections, and who finds none left.
//!
//! In: pods whose containers run. Out: whether one of them is answered. Those that are connected already are busy: they
//! open all that they may before anybody else gets one. What pods may hold at most is counted in [`super::pods`]; here is
//! what they have.

use super::cluster::Cluster;
use super::pods::Pod;

impl Cluster {
    /// Whether a pod has a connection, or gets one now. Without a `limit` everybody does.
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
