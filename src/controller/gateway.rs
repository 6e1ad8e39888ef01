//! The narrow gateway to the API server: every write and every consistent read of the controller.
//!
//! In: plain requests. Out: plain answers. Each call is bounded in time and refused when this process no longer leads.
//! A simulator replaces it to inject faults.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use json_patch::PatchOperation;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{
    Api, ApiResource, DeleteParams, GroupVersionKind, ListParams, Patch, PatchParams, PostParams,
    Preconditions,
};
use kube::core::Status;
use kube::runtime::events::Event;
use kube::{Client, ResourceExt};
use serde_json::json;

use super::lease::Leadership;
use super::lists::Pages;
use super::observe::Watched;
use super::publisher::Publisher;
use crate::api::BudgetKey;
use crate::api::patch::{self, member, place};
use crate::api::{DbConnectionBudget, WorkloadKind, names};
use crate::cluster::guarded::Guarded;
use crate::cluster::node::{self, NodeSight, NodeView, Roll};
use crate::cluster::pod::{PodRecord, PodView};
use crate::cluster::retire::Retirement;
use crate::cluster::workload::WorkloadKey;
use crate::telemetry::metrics::Metrics;

/// No request of the controller takes longer.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The object changed or vanished meanwhile, or a precondition failed: look again.
    #[error("{what}: {why}")]
    Outdated {
        /// What was attempted, on which object.
        what: String,
        /// The server's answer.
        why: String,
    },
    /// Refused although the object is as it was seen.
    #[error("{what}: refused: {why}")]
    Refused {
        /// What was attempted, on which object.
        what: String,
        /// The server's answer.
        why: String,
    },
    /// A PodDisruptionBudget refuses an eviction.
    #[error("{what}: refused by {budget}")]
    Disruption {
        /// What was attempted.
        what: String,
        /// Which PodDisruptionBudget, as far as the server says.
        budget: String,
    },
    /// This process has no permission.
    #[error("{what}: forbidden: {why}")]
    Forbidden {
        /// What was attempted.
        what: String,
        /// The server's answer.
        why: String,
    },
    /// This process no longer leads.
    #[error("{what}: not the leader any more")]
    NotLeader {
        /// What was attempted.
        what: String,
    },
    /// No answer in time.
    #[error("{what}: no answer within {TIMEOUT:?}")]
    Timeout {
        /// What was attempted.
        what: String,
    },
    /// Anything else.
    #[error("{what}: {source}")]
    Api {
        /// What was attempted.
        what: String,
        /// The client's error.
        source: Box<kube::Error>,
    },
}

/// The sizes of one grant, as they are written on a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// `pool_size` of each pool.
    pub pool_size: i32,
    /// `max_overflow` of each pool.
    pub max_overflow: i32,
    /// The connection count of the whole pod.
    pub connections: i64,
}

/// What the controller asks of the API server.
pub trait Gateway: Send + Sync + 'static {
    /// The budget as it is now; none when it does not exist.
    fn budget(
        &self,
        key: &BudgetKey,
    ) -> impl Future<Output = Result<Option<DbConnectionBudget>, GatewayError>> + Send;
    /// Replaces the status, provided that the object is still at the version that `budget` carries.
    fn replace_status(
        &self,
        budget: &DbConnectionBudget,
    ) -> impl Future<Output = Result<DbConnectionBudget, GatewayError>> + Send;
    /// All pods of a budget, by a consistent read.
    fn pods(&self, key: &BudgetKey) -> impl Future<Output = Result<Vec<PodRecord>, GatewayError>> + Send;
    /// One pod as it is now; none when it is gone.
    fn pod(
        &self,
        namespace: &str,
        name: &str,
    ) -> impl Future<Output = Result<Option<PodView>, GatewayError>> + Send;
    /// A node as it is now, with its kubelet's last sign of life; none when it does not exist.
    fn node(&self, name: &str) -> impl Future<Output = Result<Option<NodeSight>, GatewayError>> + Send;
    /// All nodes as they are now, each with its kubelet's last sign of life.
    fn nodes(&self) -> impl Future<Output = Result<Roll, GatewayError>> + Send;
    /// Marks a pod as taken over by the budget of this uid. Every grant that was sent before fails from then on.
    fn fence(
        &self,
        pod: &PodRecord,
        budget_uid: &str,
    ) -> impl Future<Output = Result<PodView, GatewayError>> + Send;
    /// Writes the sizes and removes the gate, in one write, provided that the pod is as it was seen.
    fn grant(
        &self,
        pod: &PodRecord,
        sizes: Sizes,
    ) -> impl Future<Output = Result<PodView, GatewayError>> + Send;
    /// Evicts a pod through the Eviction API.
    fn evict(&self, pod: &PodRecord) -> impl Future<Output = Result<(), GatewayError>> + Send;
    /// Deletes a pod.
    fn delete(&self, pod: &PodRecord) -> impl Future<Output = Result<(), GatewayError>> + Send;
    /// Scales a ReplicaSet down by one, if the Eviction API would let its youngest Ready pod go; an evicted pod would
    /// be replaced. Returns the name of the pod that was asked about; none if there is no pod to end.
    fn retire(
        &self,
        namespace: &str,
        set: &WorkloadKey,
    ) -> impl Future<Output = Result<Option<String>, GatewayError>> + Send;
    /// Publishes an event. A lost event is logged, never an error.
    fn publish(&self, event: Event, about: ObjectReference) -> impl Future<Output = ()> + Send;
}

/// The real API server.
pub struct KubeGateway {
    client: Client,
    leadership: Leadership,
    publisher: Publisher,
    metrics: Metrics,
}

impl KubeGateway {
    /// A gateway that writes only while `leadership` holds.
    #[must_use]
    pub fn new(client: Client, leadership: Leadership, identity: &str, metrics: Metrics) -> Self {
        let publisher = Publisher::new(client.clone(), identity);
        Self { client, leadership, publisher, metrics }
    }

    fn budgets(&self, namespace: &str) -> Api<DbConnectionBudget> {
        Api::namespaced(self.client.clone(), namespace)
    }

    fn pods_of(&self, namespace: &str) -> Api<PodView> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// The signs of life of kubelets.
    fn beats(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), node::LEASES)
    }

    fn lead(&self, what: &str) -> Result<(), GatewayError> {
        if self.leadership.holds() { Ok(()) } else { Err(GatewayError::NotLeader { what: what.into() }) }
    }

    async fn patch_pod(
        &self,
        what: String,
        pod: &PodRecord,
        patch: Vec<PatchOperation>,
    ) -> Result<PodView, GatewayError> {
        self.lead(&what)?;
        let api = self.pods_of(&pod.namespace);
        let patch = Patch::<()>::Json(json_patch::Patch(patch));
        self.bounded(what, api.patch(&pod.name, &PatchParams::default(), &patch)).await
    }

    async fn evict_named(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
        dry_run: bool,
    ) -> Result<(), GatewayError> {
        let what = format!("evict pod {namespace}/{name}");
        self.lead(&what)?;
        let api = self.pods_of(namespace);
        // Written out: the client's own eviction call loses the preconditions (it misspells deleteOptions).
        let body = json!({
            "apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": {"name": name, "namespace": namespace},
            "deleteOptions": {"preconditions": {"uid": uid}},
        });
        let params = PostParams { dry_run, ..PostParams::default() };
        let call = api.create_subresource::<_, serde_json::Value>("eviction", name, &params, &body);
        self.bounded(what, call).await.map(drop)
    }

    /// Passes on all pods that a selector chooses, by a consistent read.
    async fn each_pod(
        &self,
        what: &str,
        namespace: &str,
        selector: &str,
        mut take: impl FnMut(Guarded<PodView>) + Send,
    ) -> Result<(), GatewayError> {
        let api: Api<Guarded<PodView>> = Api::namespaced(self.client.clone(), namespace);
        let mut pages = Pages::of(ListParams::default().labels(selector));
        while let Some(page) = self.bounded(what.to_owned(), pages.next(&api)).await? {
            page.into_iter().for_each(&mut take);
        }
        Ok(())
    }

    async fn bounded<T>(
        &self,
        what: String,
        call: impl Future<Output = Result<T, kube::Error>> + Send,
    ) -> Result<T, GatewayError> {
        self.bounded_as(what, call, GatewayError::of).await
    }

    async fn bounded_as<T>(
        &self,
        what: String,
        call: impl Future<Output = Result<T, kube::Error>> + Send,
        of: fn(String, kube::Error) -> GatewayError,
    ) -> Result<T, GatewayError> {
        let error = match tokio::time::timeout(TIMEOUT, call).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => of(what, error),
            Err(_) => GatewayError::Timeout { what },
        };
        self.metrics.api_error(error.class());
        Err(error)
    }
}

impl GatewayError {
    /// What an error of the client means for the controller.
    #[must_use]
    pub fn of(what: String, error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if matches!(status.code, 404 | 409 | 410 | 422) => {
                Self::Outdated { what, why: status.message }
            }
            kube::Error::Api(status) if is_terminating(&status) => {
                Self::Outdated { what, why: status.message }
            }
            kube::Error::Api(status) if status.code == 403 => Self::Forbidden { what, why: status.message },
            kube::Error::Api(status) if is_disruption(&status) => {
                Self::Disruption { what, budget: disruption_budget(&status) }
            }
            source => Self::Api { what, source: Box::new(source) },
        }
    }

    /// The same for a write that sends a whole object. Only the object's version can be outdated, so anything else that
    /// the server refuses, it will refuse the next time too.
    #[must_use]
    pub fn of_whole_object(what: String, error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if matches!(status.code, 400 | 413 | 422) || is_too_large(&status) => {
                Self::Refused { what, why: status.message }
            }
            error => Self::of(what, error),
        }
    }

    /// A closed set of words for the metrics.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Outdated { .. } => "outdated",
            Self::Refused { .. } => "refused",
            Self::Disruption { .. } => "disruption",
            Self::Forbidden { .. } => "forbidden",
            Self::NotLeader { .. } => "not_leader",
            Self::Timeout { .. } => "timeout",
            Self::Api { .. } => "api",
        }
    }
}

/// What the server says about a pod that several PodDisruptionBudgets select: it evicts no such pod, whatever they
/// allow.
const SEVERAL: &str = "more than one PodDisruptionBudget";

/// Whether nothing new may be created in a namespace because it is being deleted.
fn is_terminating(status: &Status) -> bool {
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    status.code == 403 && causes.any(|cause| cause.reason == "NamespaceTerminating")
}

/// What etcd says about an object that is too large for it, and what its client says about one too large to send; the
/// API server passes both on as its own errors.
const TOO_LARGE: [&str; 2] = ["request is too large", "trying to send message larger than max"];

fn is_too_large(status: &Status) -> bool {
    status.code == 500 && TOO_LARGE.iter().any(|said| status.message.contains(said))
}

fn is_disruption(status: &Status) -> bool {
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    match status.code {
        429 => causes.any(|cause| cause.reason == "DisruptionBudget"),
        500 => status.message.contains(SEVERAL),
        _ => false,
    }
}

/// The server names it in a sentence: "The disruption budget NAME needs 2 healthy pods and has 1 currently".
fn disruption_budget(status: &Status) -> String {
    if status.message.contains(SEVERAL) {
        return SEVERAL.to_owned();
    }
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let named = causes.filter_map(|cause| cause.message.strip_prefix("The disruption budget "));
    named
        .filter_map(|rest| rest.split(' ').next())
        .next()
        .map_or_else(|| "a PodDisruptionBudget".to_owned(), |name| format!("PodDisruptionBudget {name}"))
}

/// The API resource of a kind.
#[must_use]
pub fn resource(kind: WorkloadKind) -> ApiResource {
    let facts = kind.facts();
    ApiResource::from_gvk(&GroupVersionKind::gvk(facts.group, facts.version, &kind.to_string()))
}

fn preconditions(pod: &PodRecord) -> Preconditions {
    Preconditions { uid: Some(pod.uid.clone()), resource_version: None }
}

/// The JSON patch of a grant. It fails unless the pod is the one that was seen, still gated, and not
/// [fenced](Gateway::fence) since.
#[must_use]
pub fn grant_patch(pod: &PodRecord, sizes: Sizes) -> Vec<PatchOperation> {
    let gate = format!("/spec/schedulingGates/{}", pod.gate_index);
    let mut patch = as_seen(pod);
    patch.push(patch::test(place(&format!("{gate}/name")), names::GATE));
    patch.push(patch::remove(place(&gate)));
    for (name, value) in [
        (names::POOL_SIZE, i64::from(sizes.pool_size)),
        (names::MAX_OVERFLOW, i64::from(sizes.max_overflow)),
        (names::CONNECTIONS, sizes.connections),
    ] {
        patch.push(patch::add(member(ANNOTATIONS, name), value.to_string()));
    }
    patch
}

/// The JSON patch of a fence.
#[must_use]
pub fn fence_patch(pod: &PodRecord, budget_uid: &str) -> Vec<PatchOperation> {
    let mut patch = as_seen(pod);
    patch.push(patch::add(member(ANNOTATIONS, names::TAKEN_OVER_BY), budget_uid));
    patch
}

const ANNOTATIONS: &str = "/metadata/annotations";

/// The beginning of a patch for this pod alone, with the fence that was seen on it. The version is not pinned: the
/// scheduler writes to each new pod that it is gated, so most grants would have to be sent twice.
fn as_seen(pod: &PodRecord) -> Vec<PatchOperation> {
    let uid = patch::test(place("/metadata/uid"), pod.uid.as_str());
    if pod.annotated {
        // The API server treats null as "is not there".
        return vec![uid, patch::test(member(ANNOTATIONS, names::TAKEN_OVER_BY), json!(pod.taken_over_by))];
    }
    // Add an empty map only where there is none; where there is none, there is no fence either.
    vec![
        uid,
        patch::test(place(ANNOTATIONS), serde_json::Value::Null),
        patch::add(place(ANNOTATIONS), json!({})),
    ]
}

impl Gateway for KubeGateway {
    async fn budget(&self, key: &BudgetKey) -> Result<Option<DbConnectionBudget>, GatewayError> {
        let api = self.budgets(&key.namespace);
        let found = self.bounded(format!("read budget {key}"), api.get_opt(&key.name)).await?;
        Ok(found.map(DbConnectionBudget::slim))
    }

    async fn replace_status(&self, budget: &DbConnectionBudget) -> Result<DbConnectionBudget, GatewayError> {
        let (namespace, name) = (budget.namespace().unwrap_or_default(), budget.name_any());
        let what = format!("write status of budget {namespace}/{name}");
        self.lead(&what)?;
        let api = self.budgets(&namespace);
        let (params, of) = (PostParams::default(), GatewayError::of_whole_object);
        self.bounded_as(what, api.replace_status(&name, &params, budget), of)
            .await
            .map(DbConnectionBudget::slim)
    }

    async fn pods(&self, key: &BudgetKey) -> Result<Vec<PodRecord>, GatewayError> {
        let what = format!("list pods of budget {key}");
        let mut pods = Vec::new();
        let selector = format!("{}={}", names::BUDGET, key.name);
        self.each_pod(&what, &key.namespace, &selector, |pod| pods.extend(pod.read())).await?;
        Ok(pods)
    }

    async fn pod(&self, namespace: &str, name: &str) -> Result<Option<PodView>, GatewayError> {
        let api = self.pods_of(namespace);
        self.bounded(format!("read pod {namespace}/{name}"), api.get_opt(name)).await
    }

    async fn node(&self, name: &str) -> Result<Option<NodeSight>, GatewayError> {
        let nodes: Api<NodeView> = Api::all(self.client.clone());
        let found = self.bounded(format!("read node {name}"), nodes.get_opt(name)).await?;
        let Some(found) = found else { return Ok(None) };
        let lease =
            self.bounded(format!("read the Lease of node {name}"), self.beats().get_opt(name)).await?;
        Ok(Some(NodeSight::of(&found, lease.as_ref())))
    }

    async fn nodes(&self) -> Result<Roll, GatewayError> {
        let all = ListParams::default;
        let mut leases = HashMap::new();
        let mut pages = Pages::of(all());
        while let Some(page) =
            self.bounded("list the Leases of nodes".into(), pages.next(&self.beats())).await?
        {
            leases.extend(page.into_iter().map(|lease| (lease.name_any(), lease)));
        }
        let nodes: Api<NodeView> = Api::all(self.client.clone());
        let mut roll = Vec::new();
        let mut pages = Pages::of(all());
        while let Some(page) = self.bounded("list nodes".into(), pages.next(&nodes)).await? {
            roll.extend(page.iter().map(|node| {
                let name = node.name_any();
                let sight = NodeSight::of(node, leases.get(&name));
                (name, sight)
            }));
        }
        Ok(roll.into_iter().collect())
    }

    async fn fence(&self, pod: &PodRecord, budget_uid: &str) -> Result<PodView, GatewayError> {
        let what = format!("take over waiting pod {}/{}", pod.namespace, pod.name);
        self.patch_pod(what, pod, fence_patch(pod, budget_uid)).await
    }

    async fn grant(&self, pod: &PodRecord, sizes: Sizes) -> Result<PodView, GatewayError> {
        let what = format!("grant {} connections to pod {}/{}", sizes.connections, pod.namespace, pod.name);
        self.patch_pod(what, pod, grant_patch(pod, sizes)).await
    }

    async fn evict(&self, pod: &PodRecord) -> Result<(), GatewayError> {
        self.evict_named(&pod.namespace, &pod.name, &pod.uid, false).await
    }

    async fn retire(&self, namespace: &str, set: &WorkloadKey) -> Result<Option<String>, GatewayError> {
        let sets: Api<ReplicaSet> = Api::namespaced(self.client.clone(), namespace);
        let what = format!("read {set} of namespace {namespace}");
        let Some(stored) = self.bounded(what, sets.get_opt(&set.name)).await? else { return Ok(None) };
        let Some(retirement) = Retirement::of(&stored) else { return Ok(None) };
        let what = format!("list the pods of {set} in namespace {namespace}");
        let mut chosen = None;
        let choose = |pod| {
            if let Guarded::Read(pod) = pod {
                chosen = retirement.choose(chosen.take(), pod);
            }
        };
        self.each_pod(&what, namespace, &retirement.selector, choose).await?;
        let Some(pod) = chosen else { return Ok(None) };
        let name = pod.name_any();
        self.evict_named(namespace, &name, &pod.uid().unwrap_or_default(), true).await?;
        let what = format!("scale {set} of namespace {namespace} down by one");
        self.lead(&what)?;
        let (params, patch) = (PatchParams::default(), Patch::<()>::Json(retirement.patch()));
        self.bounded(what, sets.patch_scale(&set.name, &params, &patch)).await?;
        Ok(Some(name))
    }

    async fn delete(&self, pod: &PodRecord) -> Result<(), GatewayError> {
        let what = format!("delete pod {}/{}", pod.namespace, pod.name);
        self.lead(&what)?;
        let params = DeleteParams { preconditions: Some(preconditions(pod)), ..DeleteParams::default() };
        let api = self.pods_of(&pod.namespace);
        self.bounded(what, api.delete(&pod.name, &params)).await.map(|_| ())
    }

    async fn publish(&self, event: Event, about: ObjectReference) {
        let what =
            format!("publish event {} about {}", event.reason, about.name.as_deref().unwrap_or_default());
        if self.lead(&what).is_err() {
            return;
        }
        match self.bounded(what, self.publisher.publish(&event, &about)).await {
            Ok(_) => {}
            // The object of the event is going or gone.
            Err(error @ GatewayError::Outdated { .. }) => tracing::debug!(%error, "event lost"),
            Err(error) => tracing::warn!(%error, "event lost"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(annotated: bool) -> PodRecord {
        let mut value = serde_json::json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u-1", "resourceVersion": "7",
                "labels": {"poolbudget.dev/budget": "main"}},
            "spec": {"containers": [], "schedulingGates": [{"name": "other"}, {"name": "poolbudget.dev/connections"}]},
        });
        if annotated {
            value["metadata"]["annotations"] = serde_json::json!({"a": "b"});
        }
        let view: PodView = serde_json::from_value(value).expect("pod");
        PodRecord::read(&view).expect("record")
    }

    #[test]
    fn a_grant_is_one_patch_that_fails_on_any_other_pod() {
        let sizes = Sizes { pool_size: 2, max_overflow: 3, connections: 5 };
        let patch = serde_json::to_string_pretty(&grant_patch(&pod(true), sizes)).expect("json");
        insta::assert_snapshot!(patch);
    }

    #[test]
    fn an_empty_annotation_map_is_put_only_where_none_was_seen() {
        let sizes = Sizes { pool_size: 1, max_overflow: 0, connections: 1 };
        let patch = json!(grant_patch(&pod(false), sizes));
        assert_eq!([&patch[1]["path"], &patch[2]["path"]], ["/metadata/annotations"; 2]);
    }
}
