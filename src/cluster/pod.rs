//! Pods: the narrow view that is parsed, and the record that is kept.
//!
//! In: a labelled pod. Out: a [`PodRecord`]. Everything else of the pod is dropped while parsing.

use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Resource;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::end::{self, End};
use super::env::Container;
use super::gates::{self, OtherGates};
use super::guarded::Unreadable;
use super::meta;
use super::template::AppFacts;
use super::workload::WorkloadKey;
use crate::api::pool_status::PoolStatus;
use crate::api::{DbConnectionBudgetSpec, WorkloadKind, names};
use crate::budget::amount::{Connections, Instances};
use crate::budget::ledger::Hold;

/// Seconds that the containers of a pod get to end if its spec does not say.
pub const DEFAULT_GRACE: i64 = 30;

/// A pod, as far as it is parsed.
#[derive(Resource, Deserialize, Clone, Debug)]
#[resource(inherit = "k8s_openapi::api::core::v1::Pod")]
pub struct PodView {
    /// Standard metadata, as far as it is used.
    #[serde(deserialize_with = "meta::read")]
    pub metadata: ObjectMeta,
    /// The part of the spec that is used.
    #[serde(default)]
    pub spec: PodSpecView,
    /// The part of the status that is used.
    #[serde(default)]
    pub status: PodStatusView,
}

/// The part of a pod's spec that is used.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct PodSpecView {
    /// The node it is bound to.
    #[serde(default)]
    pub node_name: Option<String>,
    /// Its init containers.
    #[serde(default)]
    pub init_containers: Vec<Container>,
    /// Its containers.
    #[serde(default)]
    pub containers: Vec<Container>,
    /// Its scheduling gates.
    #[serde(default)]
    pub scheduling_gates: Vec<Gate>,
    /// Seconds that its containers get to end.
    #[serde(default)]
    pub termination_grace_period_seconds: Option<i64>,
    /// Whether it shares the addresses of its node.
    #[serde(default)]
    pub host_network: Option<bool>,
}

/// A scheduling gate.
#[derive(Deserialize, Clone, Debug, Default)]
pub struct Gate {
    /// Its name.
    pub name: String,
}

/// The part of a pod's status that is used.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct PodStatusView {
    /// Pending, Running, Succeeded, Failed.
    #[serde(default)]
    pub phase: Option<String>,
    /// Conditions, of which Ready is used.
    #[serde(default)]
    pub conditions: Vec<ConditionView>,
    /// Why it is in its phase, in a sentence.
    #[serde(default)]
    pub message: Option<String>,
    /// Its address.
    #[serde(default, rename = "podIP")]
    pub pod_ip: Option<String>,
    /// When its kubelet first reported it.
    #[serde(default)]
    pub start_time: Option<IgnoredAny>,
    /// States of init containers.
    #[serde(default)]
    pub init_container_statuses: Vec<ContainerStatusView>,
    /// States of containers.
    #[serde(default)]
    pub container_statuses: Vec<ContainerStatusView>,
}

/// A condition.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct ConditionView {
    /// Its type.
    #[serde(rename = "type")]
    pub type_: String,
    /// True, False, Unknown.
    pub status: String,
    /// Why, as a word.
    #[serde(default)]
    pub reason: Option<String>,
    /// Since when.
    #[serde(default, deserialize_with = "meta::read_time")]
    pub last_transition_time: Option<Time>,
}

/// The state of a container.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct ContainerStatusView {
    /// The container's name.
    #[serde(default)]
    pub name: String,
    /// How often it was started again.
    #[serde(default)]
    pub restart_count: i64,
    /// Its present state.
    #[serde(default)]
    pub state: ContainerStateView,
    /// Its state before that.
    #[serde(default)]
    pub last_state: ContainerStateView,
}

impl ContainerStatusView {
    /// How many runs of it ended before the present one. A kubelet may forget how often it started a container, but not
    /// that it did.
    #[must_use]
    pub fn runs(&self) -> u64 {
        let last = u64::from(self.last_state.terminated.is_some());
        u64::try_from(self.restart_count).unwrap_or(0).max(last)
    }
}

/// Which state a container is in.
#[derive(Deserialize, Clone, Debug, Default)]
pub struct ContainerStateView {
    /// It runs.
    #[serde(default)]
    pub running: Option<IgnoredAny>,
    /// It ended.
    #[serde(default)]
    pub terminated: Option<IgnoredAny>,
}

/// What a grant wrote on a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantNote {
    /// `pool_size` of each pool.
    pub pool_size: u32,
    /// `max_overflow` of each pool.
    pub max_overflow: u32,
    /// The connection count of the whole pod.
    pub connections: u64,
}

/// The object that controls a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its API group and version.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl Owner {
    /// The key of the owner, if its kind is known.
    #[must_use]
    pub fn workload(&self) -> Option<WorkloadKey> {
        WorkloadKind::of(&self.api_version, &self.kind).map(|kind| WorkloadKey::new(kind, &self.name))
    }
}

/// A labelled pod, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodRecord {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
    /// The version of the object that this record was read from; larger is newer.
    pub version: u64,
    /// Creation time, seconds.
    pub created: i64,
    /// Its controller, when it has one.
    pub owner: Option<Owner>,
    /// The group of pods that it belongs to when no controller of a known kind made it.
    pub group: String,
    /// The revision of the template that it was made from, as its controller marks it.
    pub revision: Option<String>,
    /// Whether it has the gate.
    pub gated: bool,
    /// The gate's place among its scheduling gates.
    pub gate_index: usize,
    /// Scheduling gates of others that hold it as well.
    pub other_gates: Option<OtherGates>,
    /// Whether it has any annotation.
    pub annotated: bool,
    /// Whether its deletion has begun.
    pub terminating: bool,
    /// When a terminating pod must be gone at the latest, seconds.
    pub due: Option<i64>,
    /// Whether it is over: nothing of it runs, and nothing will run again.
    pub ended: bool,
    /// Whether its phase says that it is over, but nobody has seen its containers end.
    pub doubtful: bool,
    /// Whether it is bound to a node, so that its containers may run whatever its status says by now.
    pub bound: bool,
    /// The node that it is bound to.
    pub node: Option<String>,
    /// How often its containers have ended and were started again.
    pub restarts: u64,
    /// Seconds that its containers get to end.
    pub grace: i64,
    /// Whether it is Ready.
    pub ready: bool,
    /// When it was bound to a node, seconds.
    pub scheduled: Option<i64>,
    /// The budget that fenced it, by uid.
    pub taken_over_by: Option<String>,
    /// The grant written on it.
    pub grant: Option<GrantNote>,
    /// Where it answers how it uses its pools, by its own annotation.
    pub pool_status: Option<PoolStatus>,
    /// Its address, unless it is that of its node too.
    pub address: Option<IpAddr>,
    /// The most that it was seen to hold, or to be able to hold, by its own answers.
    pub seen: Connections,
    /// What its app says.
    pub app: AppFacts,
}

impl PodRecord {
    /// Reads a pod. None when it has no budget label or lacks what every stored object has.
    #[must_use]
    pub fn read(pod: &PodView) -> Option<Self> {
        let meta = &pod.metadata;
        let app =
            AppFacts::read(&meta.labels, &meta.annotations, &pod.spec.init_containers, &pod.spec.containers);
        app.budget.as_ref()?;
        let states = pod.status.init_container_statuses.iter().chain(&pod.status.container_statuses);
        let end = end::end(pod);
        let gate = gates::ours(&pod.spec.scheduling_gates);
        let terminating = meta.deletion_timestamp.is_some();
        Some(Self {
            namespace: meta.namespace.clone()?,
            name: meta.name.clone()?,
            uid: meta.uid.clone()?,
            version: version(meta),
            created: meta.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second()),
            group: group(meta),
            revision: revision(meta),
            owner: controller(meta),
            gated: gate.is_some(),
            gate_index: gate.unwrap_or(0),
            other_gates: OtherGates::of(&pod.spec.scheduling_gates),
            annotated: meta.annotations.as_ref().is_some_and(|notes| !notes.is_empty()),
            terminating,
            due: meta.deletion_timestamp.as_ref().map(|time| time.0.as_second()),
            ended: end == End::Seen,
            doubtful: end == End::Said,
            bound: pod.spec.node_name.is_some(),
            node: pod.spec.node_name.clone(),
            restarts: states.map(ContainerStatusView::runs).fold(0, u64::saturating_add),
            grace: grace(pod),
            ready: pod.status.conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True"),
            scheduled: scheduled(&pod.status.conditions),
            taken_over_by: meta
                .annotations
                .as_ref()
                .and_then(|notes| notes.get(names::TAKEN_OVER_BY))
                .cloned(),
            grant: grant_note(meta),
            pool_status: meta
                .annotations
                .as_ref()
                .and_then(|notes| PoolStatus::parse(notes.get(names::POOL_STATUS)?)),
            address: pod
                .status
                .pod_ip
                .as_ref()
                .filter(|_| pod.spec.host_network != Some(true))
                .and_then(|text| text.parse().ok()),
            seen: Connections::ZERO,
            app,
        })
    }

    /// The record of a pod that cannot be read: it counts as running with any number of connections. None when even its
    /// identity cannot be read.
    #[must_use]
    pub fn unreadable(object: &Unreadable) -> Option<Self> {
        let meta = &object.metadata;
        Some(Self {
            namespace: meta.namespace.clone()?,
            name: meta.name.clone()?,
            uid: meta.uid.clone()?,
            version: version(meta),
            created: 0,
            owner: None,
            group: group(meta),
            revision: None,
            gated: false,
            gate_index: 0,
            other_gates: None,
            annotated: true,
            terminating: false,
            due: None,
            ended: false,
            doubtful: false,
            bound: true,
            node: None,
            restarts: 0,
            grace: DEFAULT_GRACE,
            ready: false,
            scheduled: None,
            taken_over_by: None,
            grant: None,
            pool_status: None,
            address: None,
            seen: Connections::ZERO,
            app: AppFacts::unreadable(meta.labels.as_ref()?.get(names::BUDGET)?, &object.why),
        })
    }

    /// The budget that its label names.
    #[must_use]
    pub fn budget(&self) -> &str {
        self.app.budget.as_deref().unwrap_or_default()
    }

    /// What made it, if that is of a known kind; otherwise the group of pods that it belongs to.
    #[must_use]
    pub fn maker(&self) -> WorkloadKey {
        let known = self.owner.as_ref().and_then(Owner::workload).filter(|key| key.kind != WorkloadKind::Pod);
        known.unwrap_or_else(|| WorkloadKey::new(WorkloadKind::Pod, &self.group))
    }

    /// The number that its controller gave it, the last part of its name.
    #[must_use]
    pub fn ordinal(&self) -> Option<u32> {
        self.name.rsplit_once('-')?.1.parse().ok()
    }

    /// Pools in this pod; one if that is not known.
    #[must_use]
    pub fn instances(&self) -> Instances {
        self.app.instances.as_ref().map_or(Instances::ONE, |instances| *instances)
    }

    /// What it may hold by itself; the ledger's caller lays grants in flight over this.
    #[must_use]
    pub fn hold(&self) -> Hold {
        match self.grant {
            _ if self.gated => Hold::Waiting,
            Some(note) => Hold::Granted(self.bill(note)),
            None => Hold::Escaped(self.app.own),
        }
    }

    /// Where it answers how it uses its pools: by its own annotation, or else by its budget.
    #[must_use]
    pub fn answers_at(&self, spec: &DbConnectionBudgetSpec) -> Option<PoolStatus> {
        self.pool_status.clone().or_else(|| spec.observe.as_ref()?.pool_status())
    }

    /// What it was seen to hold, or to be able to hold, beyond that.
    #[must_use]
    pub fn excess(&self) -> Connections {
        if self.gated { Connections::ZERO } else { self.seen.minus(self.hold().bill()) }
    }

    /// All that it may hold, as far as is known.
    #[must_use]
    pub fn held(&self) -> Connections {
        self.hold().bill().plus(self.excess())
    }

    /// The connection count that the grant states, but never less than its sizes come to, nor than the env may open if
    /// it does not read them.
    fn bill(&self, note: GrantNote) -> Connections {
        let (pool, overflow) = (u64::from(note.pool_size), u64::from(note.max_overflow));
        let own = if self.app.late_bound { Connections::ZERO } else { self.app.own };
        self.bill_of(pool, overflow).max(Connections::new(note.connections)).max(own)
    }

    /// The grant that leaves it as it would be without poolbudget: with the sizes that its own env states, or else with
    /// the app's defaults.
    #[must_use]
    pub fn own_grant(&self) -> GrantNote {
        let own = self.app.stated.unwrap_or_else(|| self.app.usual());
        let own = [own.pool_size.get(), own.max_overflow.get()];
        let [pool_size, max_overflow] = own.map(|size| u32::try_from(size).unwrap_or(u32::MAX));
        let note = GrantNote { pool_size, max_overflow, connections: 0 };
        GrantNote { connections: self.bill(note).get(), ..note }
    }

    /// What it may hold with these sizes.
    #[must_use]
    pub fn bill_of(&self, pool_size: u64, max_overflow: u64) -> Connections {
        let size = Connections::new(pool_size).plus(Connections::new(max_overflow));
        let size = size.plus(self.app.knobs().unsaid());
        let pools = self.app.pools.filter(|_| self.app.beside.is_some());
        pools.map_or(Connections::MAX, |pools| size.per_pod(pools))
    }

    /// Why this pod can be given no size, however much is free.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        if let Err(why) = &self.app.instances {
            return Some(why.clone());
        }
        if self.gated
            && let Some(why) = &self.app.overruled
        {
            return Some(why.clone());
        }
        if !self.gated || self.app.late_bound || self.app.is_counted() {
            return None;
        }
        let unbound = || {
            format!(
                "its container {} does not read its sizes from the annotations {} and {}, so a size would have no \
                 effect; if another one opens the connections, name that in {}; create the pod again while the policy \
                 gate.poolbudget.dev is in force",
                self.app.unbound.as_deref().unwrap_or_default(),
                names::POOL_SIZE,
                names::MAX_OVERFLOW,
                names::CONTAINER,
            )
        };
        Some(self.app.taken.clone().unwrap_or_else(unbound))
    }
}

/// The version of an object as a number. The API server's versions grow with every write, and since
/// Kubernetes 1.35 comparing them is part of the contract.
#[must_use]
pub fn version(meta: &ObjectMeta) -> u64 {
    meta.resource_version.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The owner that is marked as controller.
#[must_use]
pub fn controller(meta: &ObjectMeta) -> Option<Owner> {
    let owner = meta.owner_references.as_ref()?.iter().find(|owner| owner.controller == Some(true))?;
    let (api_version, kind) = (owner.api_version.clone(), owner.kind.clone());
    Some(Owner { api_version, kind, name: owner.name.clone() })
}

/// The mark of a pod's revision: for a DaemonSet the number of its template, for others the name of a
/// ControllerRevision.
fn revision(meta: &ObjectMeta) -> Option<String> {
    let labels = meta.labels.as_ref()?;
    labels.get("pod-template-generation").or_else(|| labels.get("controller-revision-hash")).cloned()
}

/// The group of a pod that no known controller made; pods whose labels name none form one group.
fn group(meta: &ObjectMeta) -> String {
    let is_name = |value: &&String| !value.is_empty() && value.len() <= names::MAX_LABEL;
    let value = |key: &str| meta.labels.as_ref()?.get(key).filter(is_name);
    let named = names::GROUP_LABELS.into_iter().find_map(value);
    named.map_or("pods", String::as_str).to_owned()
}

/// Seconds that its containers get to end, as its kubelet counts them: by its spec, or more if its deletion said so.
fn grace(pod: &PodView) -> i64 {
    let own = pod.spec.termination_grace_period_seconds.unwrap_or(DEFAULT_GRACE);
    own.max(pod.metadata.deletion_grace_period_seconds.unwrap_or(0)).max(0)
}

fn scheduled(conditions: &[ConditionView]) -> Option<i64> {
    let bound = conditions.iter().find(|c| c.type_ == "PodScheduled" && c.status == "True")?;
    bound.last_transition_time.as_ref().map(|time| time.0.as_second())
}

/// The grant annotations; pool_size 0 would mean unlimited, so it counts as no grant.
fn grant_note(meta: &ObjectMeta) -> Option<GrantNote> {
    let notes = meta.annotations.as_ref()?;
    let pool_size: u32 = notes.get(names::POOL_SIZE)?.parse().ok().filter(|n| *n > 0)?;
    let max_overflow: u32 = notes.get(names::MAX_OVERFLOW)?.parse().ok()?;
    let connections: u64 = notes.get(names::CONNECTIONS)?.parse().ok()?;
    Some(GrantNote { pool_size, max_overflow, connections })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(value: serde_json::Value) -> PodRecord {
        let mut base = serde_json::json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u", "resourceVersion": "7",
                "labels": {"poolbudget.dev/budget": "main"}},
            "spec": {"containers": [{"name": "app", "env": [
                {"name": "DB_POOL_SIZE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['poolbudget.dev/pool-size']"}}},
                {"name": "DB_MAX_OVERFLOW", "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['poolbudget.dev/max-overflow']"}}},
            ]}]},
        });
        merge(&mut base, value);
        let view: PodView = serde_json::from_value(base).expect("pod");
        PodRecord::read(&view).expect("record")
    }

    fn merge(into: &mut serde_json::Value, from: serde_json::Value) {
        match (into, from) {
            (serde_json::Value::Object(into), serde_json::Value::Object(from)) => {
                for (key, value) in from {
                    merge(into.entry(key).or_insert(serde_json::Value::Null), value);
                }
            }
            (into, from) => *into = from,
        }
    }

    /// The sizes that a grant of any size writes come to the connection count that it was granted for.
    #[test]
    fn the_sizes_of_a_grant_come_to_its_bill_for_every_profile_and_whatever_comes_beside_its_pools() {
        use crate::budget::split::Split;
        use crate::profile::Sizing;
        for profile in crate::profile::ALL.iter().filter(|profile| profile.sizing != Sizing::Unbounded) {
            for (engines, extra) in [("1", "1"), ("1", "7"), ("2", "3"), ("3", "1")] {
                let notes = serde_json::json!({"metadata": {"annotations": {
                    names::PROFILE: profile.name, names::ENGINES: engines, names::EXTRA: extra,
                    names::CONNECTIONS_PER_PROCESS: "4",
                }}});
                let pod = pod(notes);
                for more in [0, 1, 6] {
                    let size = pod.app.least().plus(Connections::new(more));
                    let Split { pool_size, max_overflow } = Split::of(size, 2, pod.app.knobs());
                    let bill = pod.bill_of(pool_size.get(), max_overflow.get());
                    assert_eq!(bill, size.per_pod(pod.instances()), "{} {engines} {extra}", profile.name);
                }
            }
        }
    }

    fn granted(extra: serde_json::Value) -> PodRecord {
        let mut base = serde_json::json!({"metadata": {"annotations": {
            "poolbudget.dev/pool-size": "2", "poolbudget.dev/max-overflow": "3", "poolbudget.dev/connections": "5"}}});
        merge(&mut base, extra);
        pod(base)
    }

    #[test]
    fn a_gated_pod_holds_nothing_even_when_it_brings_a_grant_along() {
        let record = granted(
            serde_json::json!({"spec": {"schedulingGates": [{"name": "poolbudget.dev/connections"}]}}),
        );
        assert_eq!(record.hold(), Hold::Waiting);
    }

    #[test]
    fn a_granted_pod_holds_its_bill_and_never_less_than_its_sizes_come_to() {
        assert_eq!(granted(serde_json::json!({})).hold(), Hold::Granted(Connections::new(5)));
        let four =
            granted(serde_json::json!({"metadata": {"annotations": {"poolbudget.dev/processes": "4"}}}));
        assert_eq!(four.hold(), Hold::Granted(Connections::new(20)));
    }

    #[test]
    fn a_grant_that_the_env_does_not_read_is_no_bound() {
        let literal = granted(serde_json::json!({"spec": {"containers": [{"name": "app"}]}}));
        assert_eq!(literal.hold(), Hold::Granted(Connections::new(15)));
        assert_eq!(literal.fault(), None);
        let gated = granted(serde_json::json!({"spec": {
            "containers": [{"name": "app"}], "schedulingGates": [{"name": "poolbudget.dev/connections"}]}}));
        assert!(gated.fault().expect("a fault").contains("its container app does not read its sizes"));
    }

    #[test]
    fn an_ungated_pod_without_a_grant_holds_what_its_own_env_says() {
        assert_eq!(pod(serde_json::json!({})).hold(), Hold::Escaped(Connections::new(15)));
    }

    #[test]
    fn a_grant_of_pool_size_zero_is_no_grant() {
        let record =
            granted(serde_json::json!({"metadata": {"annotations": {"poolbudget.dev/pool-size": "0"}}}));
        assert!(matches!(record.hold(), Hold::Escaped(_)));
    }

    #[test]
    fn a_pod_whose_env_reads_a_spoiled_grant_holds_what_the_app_opens() {
        let sizes = |pool: &str, overflow: &str| {
            let notes = serde_json::json!({"metadata": {"annotations": {
                "poolbudget.dev/pool-size": pool, "poolbudget.dev/max-overflow": overflow}}});
            pod(notes).hold()
        };
        assert_eq!(sizes("40", "2"), Hold::Escaped(Connections::new(42)));
        for (pool, overflow) in [("0", "2"), ("5", "-1"), ("99999999999999999999", "0"), ("3.0", "0")] {
            let Hold::Escaped(bill) = sizes(pool, overflow) else { panic!("{pool}, {overflow}") };
            assert!(bill.get() >= u64::MAX / 2, "{pool}, {overflow}: {bill}");
        }
    }

    #[test]
    fn a_pod_gets_the_time_to_end_that_its_deletion_grants_when_that_is_more() {
        let deleted = |seconds: i64| {
            pod(serde_json::json!({"spec": {"terminationGracePeriodSeconds": 60}, "metadata": {
                "deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": seconds}}))
        };
        assert_eq!([deleted(0), deleted(600)].map(|record| record.grace), [60, 600]);
    }

    #[test]
    fn containers_that_were_started_again_are_counted() {
        let record = pod(serde_json::json!({"status": {
            "initContainerStatuses": [{"name": "proxy", "restartCount": 2}],
            "containerStatuses": [{"name": "app", "restartCount": 0, "lastState": {"terminated": {"exitCode": 1}}}]}}));
        assert_eq!(record.restarts, 3);
    }

    #[test]
    fn a_pod_that_cannot_be_read_may_hold_any_number() {
        let text = serde_json::json!({"metadata": {"name": "p", "namespace": "n", "uid": "u", "resourceVersion": "7",
            "labels": {"poolbudget.dev/budget": "main"}}, "spec": {"containers": 5}});
        let guarded: crate::cluster::guarded::Guarded<PodView> =
            serde_json::from_value(text).expect("anything");
        let crate::cluster::guarded::Guarded::Unreadable(object) = guarded else { panic!("it was read") };
        let record = PodRecord::unreadable(&object).expect("it says who it is");
        assert_eq!((record.budget(), record.version), ("main", 7));
        assert_eq!(record.hold(), Hold::Escaped(Connections::MAX));
        let why = record.app.instances.expect_err("a fault");
        assert_eq!(why, "it cannot be read: spec.containers: invalid type: integer `5`, expected a sequence");
    }

    #[test]
    fn a_pod_that_no_known_kind_made_is_of_the_group_that_its_labels_name() {
        let made = |labels: serde_json::Value, owner: serde_json::Value| {
            pod(serde_json::json!({"metadata": {"labels": labels, "ownerReferences": owner}}))
                .maker()
                .to_string()
        };
        let none = serde_json::json!([]);
        let all = serde_json::json!({"poolbudget.dev/workload": "worker", "app.kubernetes.io/name": "shop", "app": "a"});
        assert_eq!(made(all, none.clone()), "Pod/worker");
        let two = serde_json::json!({"app.kubernetes.io/name": "shop", "app": "a"});
        assert_eq!(made(two, none.clone()), "Pod/shop");
        assert_eq!(made(serde_json::json!({"app": "a"}), none.clone()), "Pod/a");
        assert_eq!(made(serde_json::json!({}), none), "Pod/pods");
        let owner = |api_version: &str, kind: &str| serde_json::json!([{"apiVersion": api_version, "kind": kind, "name": "o", "uid": "u", "controller": true}]);
        assert_eq!(made(serde_json::json!({"app": "a"}), owner("apps/v1", "StatefulSet")), "StatefulSet/o");
        assert_eq!(made(serde_json::json!({"app": "a"}), owner("batch.volcano.sh/v1alpha1", "Job")), "Pod/a");
        assert_eq!(made(serde_json::json!({"app": "a"}), owner("v1", "Node")), "Pod/a");
    }
}
