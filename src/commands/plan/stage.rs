//! From manifests to the world that the operator would see.
//!
//! In: texts. Out: the objects that concern a budget, completed as the API server and the mirror would complete them;
//! then the [`World`], built by the readers of watch events. Forbidden here: judging.

use std::collections::HashMap;

use kube::runtime::watcher::Event;
use serde_json::{Value, json};

use super::schema;
use crate::api::{DbConnectionBudget, WorkloadKind, names};
use crate::cluster::autoscaler::AutoscalerView;
use crate::cluster::guarded::Guarded;
use crate::cluster::pod::PodView;
use crate::cluster::workload::{
    CronJobView, DaemonSetView, DeploymentView, JobView, ReplicaSetView, RolloutView, StatefulSetView,
};
use crate::commands::inject::template;
use crate::commands::input::{self, Object, Source};
use crate::controller::observe::{Observed, Watched};

/// What was read.
#[derive(Debug, Default)]
pub struct Stage {
    /// Objects that concern a budget.
    pub objects: Vec<Object>,
    /// Pod templates that others may take.
    pub(super) templates: Vec<Object>,
    /// What could not be read.
    pub problems: Vec<String>,
    /// What was read but would have no effect in a cluster.
    pub warnings: Vec<String>,
    /// Objects that the API server would refuse: they are present, but nothing is planned for them.
    pub faulty: Vec<Object>,
    /// The first object with a budget's label that is not counted because another object made it, and that object.
    pub made: Option<(String, String)>,
    /// Objects of other kinds, unless something takes their template.
    pub passed_over: usize,
    /// Budgets whose limit was read by this command, each with where it comes from.
    pub(super) limits: Vec<(String, String)>,
    /// How many objects of a namespace and kind use a generateName prefix.
    generated: HashMap<(String, String, String), u32>,
}

/// Finds the objects that concern a budget. Those that state no namespace are in `namespace`.
pub fn gather(sources: &[Source], namespace: &str) -> Stage {
    let mut stage = Stage::default();
    for document in sources.iter().flat_map(input::documents) {
        stage.warnings.extend(document.repeated());
        match input::objects(&document) {
            Ok(objects) => objects.into_iter().for_each(|object| stage.take(object, namespace)),
            Err(problem) => stage.problems.push(problem),
        }
    }
    stage
}

impl Stage {
    fn take(&mut self, object: Object, namespace: &str) {
        if let Some(why) = object.fault().filter(|_| !object.is_owned()) {
            self.problems.push(format!("{}: {}: {why}", object.place, object.key()));
            let mut object = object;
            complete(&mut object, namespace);
            self.faulty.push(object);
            return;
        }
        if !object.is_owned() {
            let told = object
                .remarks()
                .into_iter()
                .map(|what| format!("{}: {}: {what}", object.place, object.key()));
            self.warnings.extend(told);
        }
        if object.kind() == "PodTemplate" && object.group().is_empty() {
            self.passed_over += 1;
            let mut object = object;
            complete(&mut object, namespace);
            self.templates.push(object);
            return;
        }
        if let Some(why) = object.unserved().filter(|_| !object.is_owned()) {
            self.problems.push(format!("{}: {why}", object.place));
            return;
        }
        let made = object.owner().filter(|_| object.is_labelled()).map(|owner| (object.key(), owner));
        let Some(mut object) = concerning(object) else {
            self.made = self.made.take().or(made);
            self.passed_over += 1;
            return;
        };
        object.loosen();
        complete(&mut object, namespace);
        self.name_generated(&mut object);
        if object.name().is_empty() {
            self.problems.push(format!(
                "{}: metadata.name is missing in this {}",
                object.place,
                object.kind()
            ));
            return;
        }
        self.objects.push(object);
    }

    /// Names an object whose name the API server would generate: after its prefix, with a number to tell equal prefixes
    /// apart.
    fn name_generated(&mut self, object: &mut Object) {
        let prefix = object.value.pointer("/metadata/generateName").and_then(Value::as_str);
        let Some(prefix) = prefix.filter(|prefix| object.name().is_empty() && !prefix.is_empty()) else {
            return;
        };
        let prefix = prefix.to_owned();
        let count =
            self.generated.entry((object.namespace().to_owned(), object.kind().to_owned(), prefix.clone()));
        let count = count.and_modify(|count| *count += 1).or_insert(1);
        let name = if *count == 1 { prefix } else { format!("{prefix}{count}") };
        object.set(&["metadata", "name"], name.into());
    }

    /// Shows the objects to the operator's readers. If they cannot read one, that is a problem.
    pub fn observe(&mut self) -> Observed {
        let observed = Observed::default();
        self.lend();
        for object in &mut self.objects {
            admit(object);
            if let Some(why) = refusal(object) {
                // Its own statements do not count, so it has no row in the table.
                self.problems.push(format!("{}: {why}", object.full_name()));
                continue;
            }
            let at = format!("{}: {}", object.place, object.key());
            let is_budget = object.kind() == "DbConnectionBudget";
            let faults = if is_budget { schema::faults(&object.value) } else { Vec::new() };
            match read(&observed, object) {
                // The error was reported already, in better words.
                Err(_) if !faults.is_empty() => {}
                Err(why) => self.problems.push(format!("{at} cannot be read: {why}")),
                Ok(()) => {}
            }
            self.problems.extend(faults.iter().map(|fault| format!("{at}: {fault}")));
        }
        observed
    }
}

/// The object, if a plan needs it. A KEDA autoscaler becomes the one that KEDA would create.
fn concerning(mut object: Object) -> Option<Object> {
    match (object.group(), object.kind()) {
        ("poolbudget.dev", "DbConnectionBudget") | ("autoscaling", "HorizontalPodAutoscaler") => {}
        // A part of another object, or a pod that another object made, adds nothing to what that object says.
        _ if object.workload().is_some() => {
            if object.is_owned() {
                return None;
            }
        }
        ("keda.sh", "ScaledObject") => {
            let target = object.value.pointer("/spec/scaleTargetRef").cloned().unwrap_or_default();
            let kind = target.get("kind").cloned().unwrap_or_else(|| "Deployment".into());
            let most = object.value.pointer("/spec/maxReplicaCount").cloned();
            let least = object.value.pointer("/spec/minReplicaCount").and_then(Value::as_i64).unwrap_or(0);
            object.set(&["kind"], "HorizontalPodAutoscaler".into());
            object.set(&["spec", "scaleTargetRef", "kind"], kind);
            // Only KEDA decides what happens between zero and one.
            object.set(&["spec", "minReplicas"], least.max(1).into());
            object.set(&["spec", "maxReplicas"], most.unwrap_or_else(|| input::KEDA_MOST.into()));
        }
        _ => return None,
    }
    Some(object)
}

/// Fills in what every stored object has, and removes what a cluster has written: a plan is made from what the
/// manifests ask for.
fn complete(object: &mut Object, namespace: &str) {
    if object.namespace().is_empty() {
        object.set(&["metadata", "namespace"], namespace.into());
    }
    let nodes = object.value.pointer("/status/desiredNumberScheduled").cloned();
    if let Some(fields) = object.value.as_object_mut() {
        fields.remove("status");
    }
    if let (Some(nodes), "DaemonSet") = (nodes, object.kind()) {
        // Only the status says how many pods a DaemonSet wants.
        object.set(&["status", "desiredNumberScheduled"], nodes);
    }
    if let Some(metadata) = object.value.get_mut("metadata").and_then(Value::as_object_mut) {
        for written in ["resourceVersion", "uid", "generation", "creationTimestamp", "deletionTimestamp"] {
            metadata.remove(written);
        }
    }
}

/// Does what admission would do.
fn admit(object: &mut Object) {
    let Some(workload) = object.workload() else { return };
    object.mirror(workload);
    let is_born_on_a_node = object.value.pointer("/spec/nodeName").is_some();
    if workload.kind == WorkloadKind::Pod && !is_born_on_a_node {
        let uid = object.name().into();
        object.set(&["metadata", "uid"], uid);
        object.set(&["spec", "schedulingGates"], json!([{"name": names::GATE}]));
    }
}

/// Why admission would refuse the pods of a workload that has a budget's label.
fn refusal(object: &Object) -> Option<String> {
    let workload = object.workload()?;
    object.refusal(workload).or_else(|| {
        object.budget(workload)?;
        template::refusal(object.template(workload)?)
    })
}

fn read(observed: &Observed, object: &Object) -> Result<(), String> {
    match object.workload().map(|workload| workload.kind) {
        Some(WorkloadKind::Deployment) => take::<DeploymentView>(observed, object),
        Some(WorkloadKind::StatefulSet) => take::<StatefulSetView>(observed, object),
        Some(WorkloadKind::DaemonSet) => take::<DaemonSetView>(observed, object),
        Some(WorkloadKind::ReplicaSet) => take::<ReplicaSetView>(observed, object),
        Some(WorkloadKind::Job) => take::<JobView>(observed, object),
        Some(WorkloadKind::CronJob) => take::<CronJobView>(observed, object),
        Some(WorkloadKind::Rollout) => take::<RolloutView>(observed, object),
        Some(WorkloadKind::Pod) => take::<PodView>(observed, object),
        None if object.kind() == "DbConnectionBudget" => {
            take::<Guarded<DbConnectionBudget>>(observed, object)
        }
        None => take::<AutoscalerView>(observed, object),
    }
}

fn take<K: Watched>(observed: &Observed, object: &Object) -> Result<(), String> {
    let read: K = serde_path_to_error::deserialize(&object.value)
        .map_err(|error| format!("{}: {}", error.path(), error.inner()))?;
    if let Some(unreadable) = read.unreadable() {
        return Err(unreadable.why.clone());
    }
    observed.take(Event::Apply(read), 0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::workload::WorkloadKey;
    use crate::commands::input::Place;

    #[test]
    fn every_governed_kind_is_read() {
        for kind in WorkloadKind::ALL.into_iter().filter(|kind| *kind != WorkloadKind::Pod) {
            let place = Place { origin: String::new(), number: 1, line: 1 };
            let version = if kind == WorkloadKind::Rollout { "v1alpha1" } else { "v1" };
            let mut spec = json!({"selector": {"matchLabels": {"app": "a"}}, "template": {"spec": {"containers": [{"name": "a"}]}}});
            if kind == WorkloadKind::CronJob {
                spec = json!({"jobTemplate": {"spec": spec}});
            }
            let value = json!({"apiVersion": format!("{}/{version}", kind.group()), "kind": kind, "metadata": {"name": "a"},
                "spec": spec});
            let mut stage = Stage::default();
            stage.take(Object { place, value }, "shop");
            let observed = stage.observe();
            assert_eq!(stage.problems, Vec::<String>::new());
            let found = observed.world().workloads.find("shop", &WorkloadKey::new(kind, "a"));
            assert!(found.is_some(), "{kind}");
        }
    }

    #[test]
    fn what_a_cluster_has_written_is_left_out_of_account() {
        let spec = json!({"selector": {"matchLabels": {"app": "a"}}, "template": {"spec": {"containers": [{"name": "a"}]}}});
        let place = Place { origin: String::new(), number: 1, line: 1 };
        let value = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"generateName": "a-", "resourceVersion": "7", "uid": "u", "generation": 3},
            "spec": spec, "status": {"replicas": 9}});
        let mut stage = Stage::default();
        stage.take(Object { place, value }, "shop");
        let values: Vec<&Value> = stage.objects.iter().map(|object| &object.value).collect();
        let expected = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"generateName": "a-", "name": "a-", "namespace": "shop"}, "spec": spec});
        assert_eq!(values, [&expected]);
    }
}
