//! The `DbConnectionBudget` resource and the names that poolbudget writes on objects.
//!
//! In: nothing. Out: types, CEL rules, reasons. It decides nothing.

pub mod conditions;
pub mod dns;
pub mod key;
pub mod keys;
pub mod kinds;
pub mod names;
pub mod patch;
pub mod pool_status;
pub mod v1beta1;

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSON};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::CustomResourceExt;

use conditions::{ConditionReason, ConditionType};

pub use key::BudgetKey;
pub use kinds::WorkloadKind;
pub use v1beta1::*;

impl DbConnectionBudget {
    /// Without metadata that others may write and that is not used here: otherwise everybody who may edit a budget
    /// could make us hold it in memory, and it may be a thousand times the size of the rest.
    #[must_use]
    pub fn slim(mut self) -> Self {
        let notes = self.metadata.annotations.take().unwrap_or_default();
        let annotations: BTreeMap<String, String> =
            notes.into_iter().filter(|(key, _)| key == names::FORGET).collect();
        self.metadata = ObjectMeta {
            name: self.metadata.name,
            namespace: self.metadata.namespace,
            uid: self.metadata.uid,
            resource_version: self.metadata.resource_version,
            generation: self.metadata.generation,
            creation_timestamp: self.metadata.creation_timestamp,
            deletion_timestamp: self.metadata.deletion_timestamp,
            annotations: Some(annotations).filter(|notes| !notes.is_empty()),
            ..ObjectMeta::default()
        };
        self
    }
}

/// The CustomResourceDefinition as YAML that `kubectl apply` takes.
///
/// # Errors
/// When the definition cannot be written as YAML.
pub fn crd_yaml() -> Result<String, serde_yaml::ser::Error> {
    serde_yaml::to_string(&crd())
}

/// The CustomResourceDefinition. By default, a budget says that no controller has processed it yet: `kubectl wait` and
/// kstatus then wait for the condition Ready and do not take a missing status for health.
#[must_use]
pub fn crd() -> CustomResourceDefinition {
    let mut crd = DbConnectionBudget::crd();
    let schemas = crd.spec.versions.iter_mut().filter_map(|version| version.schema.as_mut());
    for schema in schemas.filter_map(|validation| validation.open_api_v3_schema.as_mut()) {
        if let Some(status) = schema.properties.as_mut().and_then(|properties| properties.get_mut("status")) {
            status.default = Some(JSON(unseen()));
        }
    }
    crd
}

/// The status of a budget that no controller has processed yet.
fn unseen() -> serde_json::Value {
    serde_json::json!({"conditions": [{
        "type": ConditionType::Ready.name(),
        "status": "Unknown",
        "reason": ConditionReason::Pending.name(),
        "message": "waiting for the controller",
        "lastTransitionTime": "1970-01-01T00:00:00Z",
    }]})
}
