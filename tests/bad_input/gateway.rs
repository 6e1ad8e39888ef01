//! An API server on paper: one budget, its pods, and everything that was written and said.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::Event;
use poolbudget::api::BudgetKey;
use poolbudget::api::DbConnectionBudget;
use poolbudget::cluster::node::{NodeSight, Roll};
use poolbudget::cluster::pod::{PodRecord, PodView};
use poolbudget::cluster::workload::WorkloadKey;
use poolbudget::controller::gateway::{Gateway, GatewayError, Sizes, fence_patch, grant_patch};
use serde_json::{Value, json};
use testkit::answer::patched;

/// What is stored, written and said.
#[derive(Default)]
pub(crate) struct Store {
    pub(crate) budget: Value,
    /// By name.
    pub(crate) pods: BTreeMap<String, Value>,
    pub(crate) granted: Vec<(String, Sizes)>,
    /// The object's name and the note.
    pub(crate) said: Vec<(String, String)>,
}

/// A door to what is stored.
#[derive(Clone, Default)]
pub(crate) struct Paper(Arc<Mutex<Store>>);

impl Paper {
    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        self.0.lock().expect("the store")
    }

    fn patch(&self, what: &str, pod: &PodRecord, patch: &Value) -> Result<PodView, GatewayError> {
        let outdated = |why: String| GatewayError::Outdated { what: format!("{what} {}", pod.name), why };
        let mut store = self.store();
        let stored = store.pods.get_mut(&pod.name).ok_or_else(|| outdated("gone".into()))?;
        let mut next = patched(stored, patch).map_err(outdated)?;
        next["metadata"]["resourceVersion"] = json!("1000000");
        *stored = next.clone();
        serde_json::from_value(next).map_err(|error| outdated(error.to_string()))
    }
}

impl Gateway for Paper {
    async fn budget(&self, _: &BudgetKey) -> Result<Option<DbConnectionBudget>, GatewayError> {
        let budget = self.store().budget.clone();
        serde_json::from_value(budget)
            .map(Some)
            .map_err(|error| GatewayError::Outdated { what: "read budget".into(), why: error.to_string() })
    }

    async fn replace_status(&self, budget: &DbConnectionBudget) -> Result<DbConnectionBudget, GatewayError> {
        let mut new = serde_json::to_value(budget).expect("a budget is JSON");
        let version =
            budget.metadata.resource_version.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0_u64);
        new["metadata"]["resourceVersion"] = json!(version.saturating_add(1).to_string());
        self.store().budget = new.clone();
        Ok(serde_json::from_value(new).expect("what was written can be read"))
    }

    async fn pods(&self, _: &BudgetKey) -> Result<Vec<PodRecord>, GatewayError> {
        let pods = self.store().pods.values().cloned().collect::<Vec<_>>();
        let views = pods.into_iter().filter_map(|pod| serde_json::from_value::<PodView>(pod).ok());
        Ok(views.filter_map(|pod| PodRecord::read(&pod)).collect())
    }

    async fn pod(&self, _: &str, name: &str) -> Result<Option<PodView>, GatewayError> {
        let pod = self.store().pods.get(name).cloned();
        Ok(pod.and_then(|pod| serde_json::from_value(pod).ok()))
    }

    async fn node(&self, _: &str) -> Result<Option<NodeSight>, GatewayError> {
        Ok(Some(NodeSight { ready: true, heartbeat: None }))
    }

    async fn nodes(&self) -> Result<Roll, GatewayError> {
        Ok(Roll::default())
    }

    async fn fence(&self, pod: &PodRecord, budget_uid: &str) -> Result<PodView, GatewayError> {
        self.patch("fence", pod, &json!(fence_patch(pod, budget_uid)))
    }

    async fn grant(&self, pod: &PodRecord, sizes: Sizes) -> Result<PodView, GatewayError> {
        let view = self.patch("grant", pod, &json!(grant_patch(pod, sizes)))?;
        self.store().granted.push((pod.name.clone(), sizes));
        Ok(view)
    }

    async fn evict(&self, pod: &PodRecord) -> Result<(), GatewayError> {
        Err(GatewayError::Disruption { what: format!("evict {}", pod.name), budget: "calm".into() })
    }

    async fn delete(&self, pod: &PodRecord) -> Result<(), GatewayError> {
        Err(GatewayError::Outdated { what: format!("delete {}", pod.name), why: "another uid".into() })
    }

    async fn retire(&self, _: &str, _: &WorkloadKey) -> Result<Option<String>, GatewayError> {
        Ok(None)
    }

    async fn publish(&self, event: Event, about: ObjectReference) {
        self.store().said.push((about.name.unwrap_or_default(), event.note.unwrap_or_default()));
    }
}
