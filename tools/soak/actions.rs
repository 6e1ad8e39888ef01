//! What users, autoscalers and accidents do to the fleet.
//!
//! In: chance. Out: actions, drawn without a look at the world so that a seed repeats them, and their requests to
//! the API server. What is refused or not answered while something is being killed is counted and not repeated.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{ApiResource, DeleteParams, DynamicObject, EvictParams, ListParams, Patch, PatchParams};
use kube::core::{GroupVersionKind, NamespaceResourceScope};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde_json::{Value, json};
use testkit::objects::{BAD_IMAGE, BUDGET_LABEL, DRAIN_MS};
use testkit::random::Random;
use tokio::time::timeout;

use super::fleet::{BUDGETS, Budget, SHOPS, Shop};

/// How long one request may take: without its store the API server would hold it for a minute.
const ANSWER: Duration = Duration::from_secs(5);

/// One thing that is done.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// `kubectl scale`.
    Scale(&'static Shop, u32),
    /// A rollout to another image; it also undoes a bad one.
    Rollout(&'static Shop, u32),
    /// A rollout to an image that never becomes ready.
    BadImage(&'static Shop),
    /// Another number of worker processes.
    Processes(&'static Shop, u32),
    /// Pods that take another time to drain.
    Drain(&'static Shop, u32),
    /// Other bounds of the autoscaler.
    Autoscaler(&'static Shop, u32, u32),
    /// An edit of the budget's spec.
    Budget(&'static Budget, &'static str, Value),
    /// A pod is deleted.
    Delete(&'static Shop, usize),
    /// A pod is deleted without waiting for its containers.
    ForceDelete(&'static Shop, usize),
    /// A pod is evicted.
    Evict(&'static Shop, usize),
    /// The label is put on.
    Adopt(&'static Shop),
    /// The label is taken off.
    Release(&'static Shop),
    /// A PodDisruptionBudget comes.
    Protect(&'static Shop, &'static str, Value),
    /// It goes.
    Unprotect(&'static Shop),
}

impl Action {
    /// The next one.
    pub fn draw(chance: &mut Random) -> Self {
        let shop = SHOPS.get(chance.below(SHOPS.len())).unwrap_or(&SHOPS[0]);
        match chance.between(1, 100) {
            1..=22 => Self::Scale(shop, scale(chance)),
            23..=43 => Self::Rollout(shop, chance.between(1, 1_000_000)),
            44..=47 => Self::BadImage(shop),
            48..=51 => Self::Processes(shop, chance.between(1, 3)),
            52..=54 => Self::Drain(shop, chance.between(0, 15_000)),
            55..=60 => {
                let scaled = if chance.percent(50) { &SHOPS[0] } else { &SHOPS[4] };
                let min = chance.between(1, 4);
                Self::Autoscaler(scaled, min, min + chance.between(0, 5))
            }
            61..=70 => {
                let budget = BUDGETS.get(chance.below(BUDGETS.len())).unwrap_or(&BUDGETS[0]);
                let (what, spec) = edit(chance, budget, shop);
                Self::Budget(budget, what, spec)
            }
            71..=75 => Self::Delete(shop, chance.below(1000)),
            76..=80 => Self::ForceDelete(shop, chance.below(1000)),
            81..=84 => Self::Evict(shop, chance.below(1000)),
            85..=91 => Self::Adopt(shop),
            92..=93 => Self::Release(shop),
            94..=96 => {
                let (rule, value) = if chance.percent(50) {
                    ("minAvailable", json!(1))
                } else {
                    ("maxUnavailable", json!("50%"))
                };
                Self::Protect(shop, rule, value)
            }
            _ => Self::Unprotect(shop),
        }
    }

    /// What kind it is of, for counting.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Scale(..) => "scale",
            Self::Rollout(..) => "rollout",
            Self::BadImage(..) => "bad image",
            Self::Processes(..) => "processes",
            Self::Drain(..) => "drain time",
            Self::Autoscaler(..) => "HPA edit",
            Self::Budget(..) => "budget edit",
            Self::Delete(..) => "pod deletion",
            Self::ForceDelete(..) => "forced pod deletion",
            Self::Evict(..) => "eviction",
            Self::Adopt(..) => "adoption",
            Self::Release(..) => "release",
            Self::Protect(..) => "PDB comes",
            Self::Unprotect(..) => "PDB goes",
        }
    }

    /// In words.
    pub fn describe(&self) -> String {
        let kind = self.kind();
        match self {
            Self::Scale(shop, n) | Self::Processes(shop, n) => format!("{kind} {shop} to {n}"),
            Self::Drain(shop, n) => format!("{kind} {shop} {n} ms"),
            Self::Autoscaler(shop, min, max) => format!("{kind} {shop} {min}..{max}"),
            Self::Budget(budget, what, spec) => {
                format!("{kind} {}/{}, {what}: {spec}", budget.namespace, budget.name)
            }
            Self::Protect(shop, rule, value) => format!("{kind} {shop} {rule} {value}"),
            Self::Rollout(shop, _)
            | Self::BadImage(shop)
            | Self::Delete(shop, _)
            | Self::ForceDelete(shop, _)
            | Self::Evict(shop, _)
            | Self::Adopt(shop)
            | Self::Release(shop)
            | Self::Unprotect(shop) => format!("{kind} {shop}"),
        }
    }
}

/// Mostly what fits; sometimes nothing, sometimes far too much.
fn scale(chance: &mut Random) -> u32 {
    match chance.between(1, 100) {
        1..=6 => 0,
        7..=14 => chance.between(10, 25),
        _ => chance.between(1, 6),
    }
}

/// One edit of a budget's spec, as a merge patch, and what it is about.
fn edit(chance: &mut Random, budget: &Budget, shop: &Shop) -> (&'static str, Value) {
    match chance.between(1, 100) {
        1..=20 => {
            let limit = chance.between(budget.limit * 2 / 3, budget.limit + 3);
            ("limit", json!({"limit": {"connections": limit, "postgres": null}}))
        }
        21..=30 => {
            let server = json!({"maxConnections": chance.between(budget.limit, budget.limit + 8)});
            ("limit", json!({"limit": {"connections": null, "postgres": server}}))
        }
        31..=40 => ("reserved", json!({"reserved": chance.between(0, 4)})),
        41..=55 => {
            let basis = chance.pick(&["Ceiling", "Ladder", "Current"]);
            let surge = chance.pick(&["Minimal", "Full"]);
            (
                "sizing",
                json!({"sizing": {"basis": basis, "surge": surge, "overflowRatio": chance.between(0, 4)}}),
            )
        }
        56..=65 => ("eviction", json!({"evictionPolicy": chance.pick(&["Allowed", "Forbidden"])})),
        66..=90 => {
            let min = chance.between(1, 3);
            let max = min + chance.between(0, 4);
            let size = if chance.percent(50) { json!({"min": min, "max": max}) } else { json!({"min": min}) };
            let entry = json!({
                "name": shop.name, "weight": chance.between(1, 5), "connectionsPerProcess": size,
                "maxReplicas": chance.between(1, 8),
            });
            ("a workload", json!({"workloads": [entry]}))
        }
        _ => ("no workloads", json!({"workloads": []})),
    }
}

/// How an action ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The API server has done it.
    Done,
    /// It has answered that it does not.
    Refused(String),
    /// It did not answer.
    Unanswered,
    /// There was nothing to do it to.
    Nothing,
}

/// Who acts: the administrator.
#[derive(Clone)]
pub struct Hand {
    client: Client,
}

impl Hand {
    /// With a client of the administrator.
    pub const fn new(client: Client) -> Self {
        Self { client }
    }

    /// Does it.
    pub async fn perform(&self, action: &Action) -> Outcome {
        match timeout(ANSWER, self.ask(action)).await {
            Ok(Ok(true)) => Outcome::Done,
            Ok(Ok(false)) => Outcome::Nothing,
            Ok(Err(kube::Error::Api(status))) => Outcome::Refused(status.message.clone()),
            Ok(Err(_)) | Err(_) => Outcome::Unanswered,
        }
    }

    /// False when there is nothing to do it to.
    async fn ask(&self, action: &Action) -> kube::Result<bool> {
        match action {
            Action::Scale(shop, replicas) => self.shop(shop, &json!({"spec": {"replicas": replicas}})).await,
            Action::Rollout(shop, number) => self.shop(shop, &image(&format!("shop/app:{number}"))).await,
            Action::BadImage(shop) => self.shop(shop, &image(BAD_IMAGE)).await,
            Action::Processes(shop, n) => {
                let note = json!({"poolbudget.dev/processes": n.to_string()});
                self.shop(shop, &json!({"metadata": {"annotations": note}})).await
            }
            Action::Drain(shop, ms) => {
                let note = json!({DRAIN_MS: ms.to_string()});
                self.shop(shop, &json!({"spec": {"template": {"metadata": {"annotations": note}}}})).await
            }
            Action::Adopt(shop) => self.shop(shop, &label(Some(shop.budget.name))).await,
            Action::Release(shop) => self.shop(shop, &label(None)).await,
            Action::Autoscaler(shop, min, max) => {
                let bounds = json!({"spec": {"minReplicas": min, "maxReplicas": max}});
                self.merge::<HorizontalPodAutoscaler>(shop, &bounds).await
            }
            Action::Budget(budget, _, spec) => self.budget(budget, spec).await,
            Action::Delete(shop, pick) => self.delete(shop, *pick, &DeleteParams::default()).await,
            Action::ForceDelete(shop, pick) => {
                self.delete(shop, *pick, &DeleteParams::default().grace_period(0)).await
            }
            Action::Evict(shop, pick) => {
                let Some(name) = self.pick(shop, *pick).await? else { return Ok(false) };
                self.api::<Pod>(shop).evict(&name, &EvictParams::default()).await.map(|_| true)
            }
            Action::Protect(shop, rule, value) => self.protect(shop, rule, value).await,
            Action::Unprotect(shop) => self.unprotect(shop).await,
        }
    }

    /// A merge patch of a budget's spec.
    pub async fn budget(&self, budget: &Budget, spec: &Value) -> kube::Result<bool> {
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.budgets(budget).patch(budget.name, &PatchParams::default(), &patch).await.map(|_| true)
    }

    /// A budget as it is.
    pub async fn find_budget(&self, budget: &Budget) -> kube::Result<Value> {
        let found = self.budgets(budget).get(budget.name).await?;
        serde_json::to_value(found).map_err(kube::Error::SerdeError)
    }

    fn budgets(&self, of: &Budget) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("poolbudget.dev", "v1beta1", "DbConnectionBudget");
        let kind = ApiResource::from_gvk_with_plural(&kind, "dbconnectionbudgets");
        Api::namespaced_with(self.client.clone(), of.namespace, &kind)
    }

    /// A Deployment as it is.
    pub async fn find(&self, shop: &Shop) -> kube::Result<Deployment> {
        self.api(shop).get(shop.name).await
    }

    /// A strategic merge patch of a Deployment.
    pub async fn shop(&self, shop: &Shop, patch: &Value) -> kube::Result<bool> {
        let patch = Patch::Strategic(patch);
        self.api::<Deployment>(shop).patch(shop.name, &PatchParams::default(), &patch).await.map(|_| true)
    }

    /// Takes a PodDisruptionBudget away.
    pub async fn unprotect(&self, shop: &Shop) -> kube::Result<bool> {
        let deleted = self.api::<PodDisruptionBudget>(shop).delete(shop.name, &DeleteParams::default()).await;
        match deleted {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(false),
            other => other.map(|_| true),
        }
    }

    async fn protect(&self, shop: &Shop, rule: &str, value: &Value) -> kube::Result<bool> {
        // One of the two rules may be set; a merge patch with null takes the other away.
        let other = if rule == "minAvailable" { "maxUnavailable" } else { "minAvailable" };
        let spec = json!({"selector": {"matchLabels": {"app": shop.name}}, rule: value, other: null});
        if self.api::<PodDisruptionBudget>(shop).get_opt(shop.name).await?.is_some() {
            return self.merge::<PodDisruptionBudget>(shop, &json!({ "spec": spec })).await;
        }
        let mut made = PodDisruptionBudget::default();
        made.metadata.name = Some(shop.name.to_owned());
        made.spec = serde_json::from_value(spec).ok();
        self.api::<PodDisruptionBudget>(shop).create(&Default::default(), &made).await.map(|_| true)
    }

    async fn delete(&self, shop: &Shop, pick: usize, how: &DeleteParams) -> kube::Result<bool> {
        let Some(name) = self.pick(shop, pick).await? else { return Ok(false) };
        self.api::<Pod>(shop).delete(&name, how).await.map(|_| true)
    }

    /// The name of one of its pods.
    async fn pick(&self, shop: &Shop, pick: usize) -> kube::Result<Option<String>> {
        let mine = ListParams::default().labels(&format!("app={}", shop.name));
        let pods = self.api::<Pod>(shop).list(&mine).await?.items;
        let place = pick % pods.len().max(1);
        Ok(pods.get(place).map(|pod| pod.name_any()))
    }

    /// A merge patch of the object that bears a Deployment's name.
    pub async fn merge<K>(&self, shop: &Shop, patch: &Value) -> kube::Result<bool>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
        K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
    {
        let patch = Patch::Merge(patch);
        self.api::<K>(shop).patch(shop.name, &PatchParams::default(), &patch).await.map(|_| true)
    }

    fn api<K>(&self, shop: &Shop) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), shop.budget.namespace)
    }
}

/// A patch that changes the image of a Deployment.
pub fn image(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": image}]}}}})
}

/// A patch that puts a Deployment under a budget, or takes it out.
pub fn label(budget: Option<&str>) -> Value {
    json!({"metadata": {"labels": {BUDGET_LABEL: budget}}})
}
