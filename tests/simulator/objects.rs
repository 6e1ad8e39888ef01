//! The objects as a watch brings them.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use poolbudget::budget::rollout::{IntOrPercent, Strategy};
use poolbudget::cluster::autoscaler::{AutoscalerSpecView, AutoscalerView, TargetView};
use poolbudget::cluster::env::{Container, EnvVar, FieldRef, ValueFrom};
use poolbudget::cluster::pod::{
    ConditionView, ContainerStateView, ContainerStatusView, Gate, PodSpecView, PodStatusView, PodView,
};
use poolbudget::cluster::workload::{
    DeploymentSpecView, DeploymentStatusView, DeploymentView, ReplicaSetSpecView, ReplicaSetStatusView,
    ReplicaSetView, RollingUpdateView, StrategyView, TemplateMetaView, TemplateSpecView, TemplateView,
};
use serde::de::IgnoredAny;

use super::clock::timestamp;
use super::cluster::{BUDGETS, Cluster, Facts, NAMESPACE, Pod, Reported};

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

fn owner(kind: &str, name: String) -> Option<Vec<OwnerReference>> {
    let owner =
        OwnerReference { kind: kind.into(), name, controller: Some(true), ..OwnerReference::default() };
    Some(vec![owner])
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
    }
}

pub(crate) fn pod(pod: &Pod) -> PodView {
    let mut metadata = meta(pod.name(), pod.version);
    metadata.uid = Some(pod.uid());
    metadata.creation_timestamp = Some(Time(timestamp(pod.created)));
    metadata.deletion_timestamp = pod.deleting.then(|| Time(timestamp(pod.created)));
    metadata.labels = labels(pod.facts);
    metadata.annotations.clone_from(&pod.notes);
    metadata.owner_references = owner("ReplicaSet", format!("w{}-{}", pod.app, pod.template));
    let state = match pod.reported {
        Reported::Waiting | Reported::Running => ContainerStateView::default(),
        Reported::Ended => ContainerStateView { terminated: Some(IgnoredAny) },
    };
    let mut conditions = Vec::new();
    let mut states = Vec::new();
    if let Some((_, at)) = pod.node {
        conditions = vec![condition("PodScheduled", true, Some(at)), condition("Ready", pod.ready, None)];
        states.push(ContainerStatusView { state });
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
        },
        status: PodStatusView {
            phase: Some(if pod.reported == Reported::Waiting { "Pending" } else { "Running" }.into()),
            conditions,
            init_container_statuses: Vec::new(),
            container_statuses: states,
        },
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
    let mut metadata = meta(format!("w{index}"), app.version);
    metadata.generation = Some(app.generation);
    DeploymentView {
        metadata,
        spec: DeploymentSpecView {
            replicas: count(i64::from(app.deployment.replicas)),
            template: template(cluster.facts(app.deployment.template.id)),
            strategy: strategy(app.deployment.strategy),
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
        other => unreachable!("no Deployment has the strategy {other:?}"),
    }
}

pub(crate) fn replica_set(cluster: &Cluster, index: usize, set: usize) -> ReplicaSetView {
    let app = &cluster.apps[index];
    let version = app.sets[set];
    let set = &app.deployment.sets[set];
    let mut metadata = meta(format!("w{index}-{}", set.template.id), version);
    metadata.owner_references = owner("Deployment", format!("w{index}"));
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

pub(crate) fn autoscaler(app: usize, most: u32, version: u64) -> AutoscalerView {
    AutoscalerView {
        metadata: meta(format!("w{app}"), version),
        spec: AutoscalerSpecView {
            max_replicas: i32::try_from(most).expect("few pods"),
            scale_target_ref: TargetView {
                api_version: "apps/v1".into(),
                kind: "Deployment".into(),
                name: format!("w{app}"),
            },
        },
    }
}
