//! The objects as a watch delivers them.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use poolbudget::api::WorkloadKind;
use poolbudget::cluster::autoscaler::{AutoscalerSpecView, AutoscalerView, TargetView};
use poolbudget::cluster::env::{Container, EnvVar, FieldRef, ValueFrom};
use poolbudget::cluster::pod::{
    ConditionView, ContainerStateView, ContainerStatusView, Gate, PodSpecView, PodStatusView, PodView,
};
use poolbudget::cluster::workload::{
    CronJobView, DaemonSetView, DeploymentSpecView, DeploymentStatusView, DeploymentView, JobView,
    ReplicaSetSpecView, ReplicaSetStatusView, ReplicaSetView, RollingUpdateView, StatefulSetView,
    StrategyView, TemplateMetaView, TemplateSpecView, TemplateView,
};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};
use testkit::model::IntOrPercent;
use testkit::model::cron_job::Concurrency;
use testkit::model::deployment::Strategy;
use testkit::model::job::{End, Job};
use testkit::model::{daemon_set, stateful_set};

use super::clock::timestamp;
use super::cluster::{BUDGETS, Cluster, Facts, NAMESPACE};
use super::pods::{Pod, Reported};
use super::workload::{App, Maker, Runs, revision};

/// The gate's name.
const GATE: &str = "poolbudget.dev/connections";

fn meta(name: String, version: u64) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(NAMESPACE.into()),
        resource_version: Some(version.to_string()),
        ..ObjectMeta::default()
    }
}

fn owner((kind, name): (WorkloadKind, String)) -> Option<Vec<OwnerReference>> {
    let (kind, controller) = (kind.to_string(), Some(true));
    Some(vec![OwnerReference { kind, name, controller, ..OwnerReference::default() }])
}

fn labels(facts: Facts) -> Option<BTreeMap<String, String>> {
    let budget = facts.budget?;
    Some(BTreeMap::from([("poolbudget.dev/budget".into(), BUDGETS[budget].into())]))
}

fn condition(kind: &str, holds: bool, since: Option<i64>) -> ConditionView {
    ConditionView {
        type_: kind.into(),
        status: if holds { "True" } else { "False" }.into(),
        last_transition_time: since.map(|at| Time(timestamp(at))),
        reason: None,
    }
}

pub(crate) fn pod(pod: &Pod) -> PodView {
    let mut metadata = meta(pod.name.clone(), pod.version);
    metadata.uid = Some(pod.uid());
    metadata.creation_timestamp = Some(Time(timestamp(pod.created)));
    metadata.deletion_timestamp = pod.deleting.then(|| Time(timestamp(pod.created)));
    let marks = pod.marks.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    metadata.labels = Some(labels(pod.facts).into_iter().flatten().chain(marks).collect());
    metadata.annotations.clone_from(&pod.notes);
    metadata.owner_references = owner(pod.owner.clone());
    let state = match pod.reported {
        Reported::Waiting | Reported::Running => ContainerStateView::default(),
        Reported::Ended => {
            ContainerStateView { terminated: Some(IgnoredAny), ..ContainerStateView::default() }
        }
    };
    let mut conditions = Vec::new();
    let mut states = Vec::new();
    if let Some((_, at)) = pod.node {
        conditions = vec![condition("PodScheduled", true, Some(at)), condition("Ready", pod.ready, None)];
        states.push(ContainerStatusView {
            name: "app".into(),
            restart_count: pod.restarts.into(),
            state,
            ..ContainerStatusView::default()
        });
    }
    PodView {
        metadata,
        spec: PodSpecView {
            node_name: pod.node.map(|(node, _)| format!("node-{node}")),
            containers: vec![Container {
                name: "app".into(),
                env: env(pod.late_bound),
                ..Container::default()
            }],
            init_containers: Vec::new(),
            scheduling_gates: pod.gated.then(|| Gate { name: GATE.into() }).into_iter().collect(),
            termination_grace_period_seconds: Some(pod.grace),
            host_network: None,
        },
        status: PodStatusView {
            phase: Some(phase(pod).into()),
            conditions,
            message: None,
            pod_ip: None,
            start_time: None,
            init_container_statuses: Vec::new(),
            container_statuses: states,
        },
    }
}

fn phase(pod: &Pod) -> &'static str {
    match pod.end.filter(|_| pod.finished) {
        Some(End::Complete) => "Succeeded",
        Some(End::Failed) => "Failed",
        None if pod.collected => "Failed",
        None if pod.reported == Reported::Ended => "Succeeded",
        None if pod.reported == Reported::Waiting => "Pending",
        None => "Running",
    }
}

fn env(late_bound: bool) -> Vec<EnvVar> {
    if !late_bound {
        return Vec::new();
    }
    [("DB_POOL_SIZE", "pool-size"), ("DB_MAX_OVERFLOW", "max-overflow")]
        .into_iter()
        .map(|(name, annotation)| EnvVar {
            name: name.into(),
            value: None,
            value_from: Some(ValueFrom {
                field_ref: Some(FieldRef {
                    field_path: format!("metadata.annotations['poolbudget.dev/{annotation}']"),
                }),
            }),
        })
        .collect()
}

fn template(facts: Facts) -> TemplateView {
    let mut metadata = TemplateMetaView { labels: labels(facts), annotations: None };
    if facts.processes != 1 {
        let note = ("poolbudget.dev/processes".to_owned(), facts.processes.to_string());
        metadata.annotations = Some(BTreeMap::from([note]));
    }
    let containers = vec![Container { name: "app".into(), ..Container::default() }];
    TemplateView { metadata, spec: TemplateSpecView { containers, ..TemplateSpecView::default() } }
}

fn count(number: i64) -> Option<i32> {
    Some(i32::try_from(number).expect("few pods"))
}

pub(crate) fn deployment(cluster: &Cluster, index: usize) -> DeploymentView {
    let app = &cluster.apps[index];
    let Maker::Deployment(deployment) = &app.maker else { unreachable!("it is a Deployment") };
    let mut metadata = meta(format!("w{index}"), app.version);
    metadata.generation = Some(app.generation);
    DeploymentView {
        metadata,
        spec: DeploymentSpecView {
            replicas: count(i64::from(deployment.replicas)),
            template: template(cluster.facts(deployment.template.id)),
            strategy: strategy(deployment.strategy),
        },
        status: DeploymentStatusView { observed_generation: Some(app.observed) },
    }
}

fn strategy(strategy: Strategy) -> StrategyView {
    let number = |value| match value {
        IntOrPercent::Int(pods) => IntOrString::Int(i32::try_from(pods).expect("few pods")),
        IntOrPercent::Percent(share) => IntOrString::String(format!("{share}%")),
    };
    match strategy {
        Strategy::Recreate => StrategyView { type_: Some("Recreate".into()), rolling_update: None },
        Strategy::RollingUpdate { max_surge, max_unavailable } => StrategyView {
            type_: Some("RollingUpdate".into()),
            rolling_update: Some(RollingUpdateView {
                max_surge: Some(number(max_surge)),
                max_unavailable: Some(number(max_unavailable)),
            }),
        },
    }
}

pub(crate) fn replica_set(cluster: &Cluster, index: usize, template_id: u32) -> ReplicaSetView {
    let app = &cluster.apps[index];
    let Maker::Deployment(deployment) = &app.maker else { unreachable!("it is a Deployment") };
    let own = deployment.sets.iter().find(|set| set.template.id == template_id);
    let set = own.expect("one of its ReplicaSets");
    let mut metadata = meta(format!("w{index}-{template_id}"), app.parts[&template_id]);
    metadata.owner_references = owner((WorkloadKind::Deployment, format!("w{index}")));
    let revision = ("deployment.kubernetes.io/revision".to_owned(), set.revision.to_string());
    metadata.annotations = Some(BTreeMap::from([revision]));
    ReplicaSetView {
        metadata,
        spec: ReplicaSetSpecView {
            replicas: count(set.replicas),
            template: template(cluster.facts(set.template.id)),
        },
        status: ReplicaSetStatusView { replicas: count(set.pods), ready_replicas: count(set.available) },
    }
}

/// A view of what an API server would send.
fn view<V: DeserializeOwned>(object: Value) -> V {
    serde_json::from_value(object).expect("an object of its kind")
}

fn metadata(app: &App, index: usize) -> Value {
    json!({
        "name": format!("w{index}"),
        "namespace": NAMESPACE,
        "resourceVersion": app.version.to_string(),
        "generation": app.generation,
    })
}

fn written(template: TemplateView) -> Value {
    let TemplateMetaView { labels, annotations } = template.metadata;
    json!({"metadata": {"labels": labels, "annotations": annotations}, "spec": {"containers": [{"name": "app"}]}})
}

pub(crate) fn stateful_set(cluster: &Cluster, index: usize) -> StatefulSetView {
    let app = &cluster.apps[index];
    let Maker::StatefulSet(set) = &app.maker else { unreachable!("it is a StatefulSet") };
    let update = match set.update {
        stateful_set::Update::OnDelete => json!({"type": "OnDelete"}),
        stateful_set::Update::Rolling { partition, max_unavailable } => json!({
            "type": "RollingUpdate",
            "rollingUpdate": {"partition": partition, "maxUnavailable": max_unavailable.map(IntOrPercent::written)},
        }),
    };
    view(json!({
        "metadata": metadata(app, index),
        "spec": {
            "replicas": set.replicas,
            "podManagementPolicy": if set.parallel { "Parallel" } else { "OrderedReady" },
            "updateStrategy": update,
            "template": written(template(cluster.facts(set.template.id))),
        },
        "status": {
            "observedGeneration": app.observed,
            "replicas": app.counts.pods,
            "readyReplicas": app.counts.ready,
            // Until its controller has seen the newest template, it names the previous one.
            "updateRevision": revision(index, app.seen),
        },
    }))
}

pub(crate) fn daemon_set(cluster: &Cluster, index: usize) -> DaemonSetView {
    let app = &cluster.apps[index];
    let Maker::DaemonSet { set, .. } = &app.maker else { unreachable!("it is a DaemonSet") };
    let update = match set.update {
        daemon_set::Update::OnDelete => json!({"type": "OnDelete"}),
        daemon_set::Update::Rolling { max_surge, max_unavailable } => json!({
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": max_surge.written(), "maxUnavailable": max_unavailable.written()},
        }),
    };
    let mut metadata = metadata(app, index);
    let generation = app.template_generation.to_string();
    metadata["annotations"] = json!({"deprecated.daemonset.template.generation": generation});
    view(json!({
        "metadata": metadata,
        "spec": {"updateStrategy": update, "template": written(template(cluster.facts(set.template.id)))},
        "status": {
            "observedGeneration": app.observed,
            "desiredNumberScheduled": app.counts.desired,
            "currentNumberScheduled": app.counts.pods,
            "numberMisscheduled": app.counts.misplaced,
            "numberReady": app.counts.ready,
            "updatedNumberScheduled": app.counts.updated,
        },
    }))
}

fn job_spec(cluster: &Cluster, job: &Job) -> Value {
    json!({
        "parallelism": job.parallelism,
        "completions": job.completions,
        "suspend": job.suspended,
        "template": written(template(cluster.facts(job.template.id))),
    })
}

fn job_of(cluster: &Cluster, metadata: &Value, job: &Job) -> JobView {
    let mut conditions = Vec::new();
    if job.failing {
        conditions.push(json!({"type": "FailureTarget", "status": "True"}));
    }
    if let Some(end) = job.finished {
        let kind = if end == End::Complete { "Complete" } else { "Failed" };
        conditions.push(json!({"type": kind, "status": "True"}));
    }
    view(json!({
        "metadata": metadata,
        "spec": job_spec(cluster, job),
        "status": {"active": job.active, "succeeded": job.succeeded, "conditions": conditions},
    }))
}

pub(crate) fn job(cluster: &Cluster, index: usize) -> JobView {
    let app = &cluster.apps[index];
    let Maker::Job(job) = &app.maker else { unreachable!("it is a Job") };
    job_of(cluster, &metadata(app, index), job)
}

/// A Job of a CronJob.
pub(crate) fn run(cluster: &Cluster, index: usize, template: u32) -> JobView {
    let app = &cluster.apps[index];
    let Maker::CronJob(Runs { jobs, .. }) = &app.maker else { unreachable!("it is a CronJob") };
    let job = jobs.iter().find(|job| job.template.id == template).expect("one of its Jobs");
    let metadata = json!({
        "name": format!("w{index}-{template}"),
        "namespace": NAMESPACE,
        "resourceVersion": app.parts[&template].to_string(),
        "ownerReferences": [
            {"apiVersion": "batch/v1", "kind": "CronJob", "name": format!("w{index}"), "uid": "", "controller": true},
        ],
    });
    job_of(cluster, &metadata, job)
}

pub(crate) fn cron_job(cluster: &Cluster, index: usize) -> CronJobView {
    let app = &cluster.apps[index];
    let Maker::CronJob(Runs { cron, pattern, .. }) = &app.maker else { unreachable!("it is a CronJob") };
    let policy = match cron.concurrency {
        Concurrency::Allow => "Allow",
        Concurrency::Forbid => "Forbid",
        Concurrency::Replace => "Replace",
    };
    view(json!({
        "metadata": metadata(app, index),
        "spec": {
            "concurrencyPolicy": policy,
            "suspend": cron.suspended,
            "jobTemplate": {"spec": job_spec(cluster, pattern)},
        },
    }))
}

pub(crate) fn autoscaler(kind: WorkloadKind, app: usize, most: u32, version: u64) -> AutoscalerView {
    AutoscalerView {
        metadata: meta(format!("w{app}"), version),
        spec: AutoscalerSpecView {
            min_replicas: None,
            max_replicas: i32::try_from(most).expect("few pods"),
            scale_target_ref: TargetView {
                api_version: "apps/v1".into(),
                kind: kind.to_string(),
                name: format!("w{app}"),
            },
        },
    }
}
