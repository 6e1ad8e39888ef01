//! Every kind that is watched, in one list: the watches go through it, and a snapshot does.
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
    /// The same; those alone count that have this label.
    Labelled(&'static str),
    /// Where somebody has installed the kind.
    Installed,
}

/// What is done with every kind.
pub trait PerKind {
    /// Does it with one.
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
