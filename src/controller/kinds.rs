//! Every watched kind, in one list for the watches and for snapshots.
//!
//! In: a visitor. Out: one visit for each kind. A new kind is added here, with its view in `cluster`.

use kube::Resource;
use kube::core::NamespaceResourceScope;

use super::observe::Watched;
use crate::api::{DbConnectionBudget, names};
use crate::cluster::autoscaler::AutoscalerView;
use crate::cluster::pod::PodView;
use crate::cluster::workload::{
    CronJobView, DaemonSetView, DeploymentView, JobView, ReplicaSetView, RolloutView, StatefulSetView,
};

/// Where objects of a kind are to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// In every cluster.
    Always,
    /// In every cluster; only objects with this label count.
    Labelled(&'static str),
    /// Where the kind is installed.
    Installed,
}

/// What is done with every kind.
pub trait PerKind {
    /// Does it with one kind.
    fn visit<K: Watched + Resource<Scope = NamespaceResourceScope>>(&mut self, served: Served);
}

/// Visits all kinds.
pub fn every(visitor: &mut impl PerKind) {
    visitor.visit::<DbConnectionBudget>(Served::Always);
    visitor.visit::<PodView>(Served::Labelled(names::BUDGET));
    visitor.visit::<DeploymentView>(Served::Always);
    visitor.visit::<ReplicaSetView>(Served::Always);
    visitor.visit::<StatefulSetView>(Served::Always);
    visitor.visit::<DaemonSetView>(Served::Always);
    visitor.visit::<JobView>(Served::Always);
    visitor.visit::<CronJobView>(Served::Always);
    visitor.visit::<AutoscalerView>(Served::Always);
    visitor.visit::<RolloutView>(Served::Installed);
}
