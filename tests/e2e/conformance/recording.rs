//! What was seen of the real controllers while they ran a script.
//!
//! In: objects of the API. Out: the few numbers that count. Nothing here judges.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;

use super::script::{Class, Script, Step};

/// The annotation of the pod template that tells templates apart.
pub(crate) const TEMPLATE: &str = "template";
pub(crate) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
const MOST: &str = "deployment.kubernetes.io/max-replicas";
const REVISION: &str = "deployment.kubernetes.io/revision";

/// One version of a ReplicaSet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) template: u32,
    /// Sets are sorted by this.
    pub(crate) born: (String, String),
    pub(crate) spec: Numbers,
    pub(crate) pods: i64,
    pub(crate) ready: i64,
    pub(crate) available: i64,
    pub(crate) terminating: i64,
    /// Whether the status is of this spec.
    pub(crate) observed: bool,
    pub(crate) version: String,
}

/// What the Deployment controller writes into a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Numbers {
    pub(crate) replicas: i64,
    pub(crate) desired: i64,
    pub(crate) most: i64,
    pub(crate) revision: u32,
}

/// How many pods of each class a set has.
pub(crate) type Count = BTreeMap<Class, usize>;

/// Everything when nothing moves.
#[derive(Clone, Debug)]
pub(crate) struct Rest {
    pub(crate) sets: Vec<Seen>,
    /// By template.
    pub(crate) pods: BTreeMap<u32, Count>,
}

/// A step, what was seen of the sets in its course, in order, and how it ended.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    /// None at the beginning, when the Deployment is made.
    pub(crate) step: Option<Step>,
    pub(crate) versions: Vec<Seen>,
    pub(crate) rest: Rest,
}

#[derive(Clone, Debug)]
pub(crate) struct Recording {
    pub(crate) script: Script,
    pub(crate) acts: Vec<Act>,
}

impl Seen {
    pub(crate) fn of(set: &ReplicaSet) -> Self {
        let annotations = set.metadata.annotations.clone().unwrap_or_default();
        let number = |key: &str| annotations.get(key).map_or(-1, |text| text.parse().unwrap());
        let template = set.spec.template.as_ref().unwrap().metadata.as_ref().unwrap();
        let status = set.status.clone().unwrap_or_default();
        let created = set.metadata.creation_timestamp.as_ref().map(|time| format!("{:?}", time.0));
        Self {
            template: template.annotations.as_ref().unwrap()[TEMPLATE].parse().unwrap(),
            born: (created.unwrap(), set.metadata.name.clone().unwrap()),
            spec: Numbers {
                replicas: set.spec.replicas.unwrap().into(),
                desired: number(DESIRED),
                most: number(MOST),
                revision: u32::try_from(number(REVISION)).unwrap(),
            },
            pods: status.replicas.into(),
            ready: status.ready_replicas.unwrap_or(0).into(),
            available: status.available_replicas.unwrap_or(0).into(),
            terminating: status.terminating_replicas.unwrap_or(0).into(),
            observed: status.observed_generation == set.metadata.generation,
            version: set.metadata.resource_version.clone().unwrap(),
        }
    }
}

pub(crate) fn class(pod: &Pod) -> Class {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = conditions.into_iter().flatten().any(|it| it.type_ == "Ready" && it.status == "True");
    let bound = pod.spec.as_ref().unwrap().node_name.is_some();
    match (pod.metadata.deletion_timestamp.is_some(), bound, ready) {
        (true, ..) => Class::Leaving,
        (_, false, _) => Class::Waiting,
        (_, true, false) => Class::Sick,
        (_, true, true) => Class::Ready,
    }
}

pub(crate) fn template_of(pod: &Pod) -> u32 {
    pod.metadata.annotations.as_ref().unwrap()[TEMPLATE].parse().unwrap()
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { replicas, desired, most, revision } = self;
        write!(f, "{replicas} (desired {desired}, max {most}, revision {revision})")
    }
}

impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Script { name, replicas, strategy, .. } = &self.script;
        writeln!(f, "{name}: {replicas} replicas, {strategy:?}")?;
        for (place, act) in self.acts.iter().enumerate() {
            match &act.step {
                Some(step) => writeln!(f, "{place:>3}. {step:?}")?,
                None => writeln!(f, "{place:>3}. it is made")?,
            }
            for Seen { template, spec, pods, available, .. } in &act.versions {
                writeln!(f, "       t{template} is {spec}; it reports {pods}, {available} available")?;
            }
            for (template, count) in &act.rest.pods {
                writeln!(f, "       at rest t{template} has {count:?}")?;
            }
        }
        Ok(())
    }
}
