//! The result of one schedule, in numbers.

use super::clock;
use super::cluster::Cluster;
use super::plan::Plan;

/// The result of one schedule.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// The initial basis and surge of its first budget.
    pub group: (&'static str, &'static str),
    /// Whether faults occurred.
    pub faults: bool,
    pub steps: u64,
    pub looks: u64,
    pub grants: u64,
    /// How often a process of the operator died.
    pub deaths: u64,
    pub scale_events: u64,
    pub restarts: u64,
    /// Milliseconds from each request for more replicas until all of them were ready.
    pub waits: Vec<u32>,
    /// How many thousandths of usable are held when everything has settled.
    pub utilisation: Vec<u32>,
    /// Milliseconds from the last action until everything had settled.
    pub settled: Option<i64>,
    /// The largest sum, in thousandths of what was usable.
    pub peak: u64,
    /// The last requested replicas, and when they were requested.
    wanted: Vec<Option<(u32, i64)>>,
}

impl Tally {
    pub fn of(plan: &Plan) -> Self {
        let group = plan.budgets.first().map_or(("", ""), |terms| (terms.basis, terms.surge));
        Self { group, faults: plan.faults, wanted: vec![None; plan.workloads.len()], ..Self::default() }
    }

    /// A user asks for this many replicas.
    pub fn scaled(&mut self, app: usize, from: u32, to: u32) {
        self.scale_events += u64::from(from != to);
        self.wanted[app] = (to > from).then(|| (to, clock::now()));
    }

    pub fn pods_changed(&mut self, cluster: &Cluster, app: usize) {
        let Some((wanted, since)) = self.wanted[app] else { return };
        let ready = cluster.pods_of(app).filter(|pod| pod.ready && !pod.deleting).count();
        if ready >= wanted as usize {
            self.wanted[app] = None;
            self.waits.push(u32::try_from(clock::now() - since).unwrap_or(u32::MAX));
        }
    }

    pub fn settle(&mut self, cluster: &Cluster, waited: i64) {
        self.settled = Some(waited);
        self.restarts = cluster.restarts;
        for budget in (0..cluster.budgets.len()).filter(|budget| !cluster.is_free(*budget)) {
            let held = cluster.held(budget);
            if let Some(available) = cluster.available(budget).filter(|available| *available > 0 && held > 0)
            {
                self.utilisation.push(u32::try_from(held * 1000 / available).unwrap_or(u32::MAX));
            }
        }
    }
}
