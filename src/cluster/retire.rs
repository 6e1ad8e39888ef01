//! Ending one pod of a ReplicaSet for good: which one, and how to keep the set from creating another.
//!
//! In: a ReplicaSet as it is stored, its pods. Out: a selector, a pod, a patch of the set's scale.

use json_patch::Patch;
use k8s_openapi::api::apps::v1::ReplicaSet;

use super::pod::{PodView, controller};
use crate::api::patch;

/// What must be known about a ReplicaSet to make it smaller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retirement {
    /// The labels of its pods, as a selector.
    pub selector: String,
    name: String,
    replicas: i32,
}

impl Retirement {
    /// Reads the set. None if it wants no pods, or selects them by more than labels: no Deployment makes such a set.
    #[must_use]
    pub fn of(set: &ReplicaSet) -> Option<Self> {
        let spec = &set.spec;
        if spec.selector.match_expressions.as_ref().is_some_and(|expressions| !expressions.is_empty()) {
            return None;
        }
        let labels = spec.selector.match_labels.as_ref()?.iter();
        let selector = labels.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
        let (name, replicas) = (set.metadata.name.clone()?, spec.replicas?);
        (replicas > 0 && !selector.is_empty()).then_some(Self { selector, name, replicas })
    }

    /// The best of the pods so far and one more: the youngest Ready pod of the set. A pod that is not Ready holds
    /// little or nothing that another one lacks, and the Deployment controller removes such pods by itself.
    #[must_use]
    pub fn choose(&self, best: Option<PodView>, pod: PodView) -> Option<PodView> {
        let own = |pod: &PodView| {
            let made = controller(&pod.metadata);
            let ready = pod.status.conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True");
            made.is_some_and(|owner| owner.kind == "ReplicaSet" && owner.name == self.name)
                && ready
                && pod.metadata.deletion_timestamp.is_none()
        };
        let born = |pod: &PodView| {
            (pod.metadata.creation_timestamp.as_ref().map(|time| time.0), pod.metadata.name.clone())
        };
        best.into_iter().chain(Some(pod).filter(own)).max_by_key(born)
    }

    /// The JSON patch of the set's scale: one replica less, provided that the number is still as it was seen.
    #[must_use]
    pub fn patch(&self) -> Patch {
        let replicas = || patch::place("/spec/replicas");
        Patch(vec![
            patch::test(replicas(), self.replicas),
            patch::replace(replicas(), self.replicas.saturating_sub(1)),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn set(replicas: i32) -> Value {
        json!({
            "metadata": {"name": "api-1"},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "api", "pod-template-hash": "1"}}},
        })
    }

    fn of(set: Value) -> Option<Retirement> {
        Retirement::of(&serde_json::from_value(set).expect("a ReplicaSet"))
    }

    fn pod(name: &str, of: &str, born: &str, ready: &str) -> PodView {
        serde_json::from_value(json!({
            "metadata": {"name": name, "creationTimestamp": born, "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": of, "uid": "u", "controller": true}]},
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        }))
        .expect("a pod")
    }

    #[test]
    fn the_youngest_ready_pod_of_the_set_goes_and_the_set_gets_smaller_by_one() {
        let retirement = of(set(3)).expect("a set");
        assert_eq!(retirement.selector, "app=api,pod-template-hash=1");
        let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
        let pods = [
            pod("a", "api-1", early, "True"),
            pod("b", "api-1", late, "True"),
            pod("sick", "api-1", late, "False"),
            pod("other", "web-1", late, "True"),
        ];
        let chosen = pods.into_iter().fold(None, |best, pod| retirement.choose(best, pod));
        assert_eq!(chosen.and_then(|pod| pod.metadata.name).as_deref(), Some("b"));
        let patch = json!(retirement.patch());
        assert_eq!((&patch[0]["value"], &patch[1]["value"]), (&json!(3), &json!(2)));
    }

    #[test]
    fn an_empty_set_and_one_that_selects_by_more_than_labels_are_left_alone() {
        assert_eq!(of(set(0)), None);
        let mut odd = set(2);
        odd["spec"]["selector"]["matchExpressions"] = json!([{"key": "tier", "operator": "Exists"}]);
        assert_eq!(of(odd.clone()), None);
        odd["spec"]["selector"] = json!({});
        assert_eq!(of(odd), None);
    }
}
