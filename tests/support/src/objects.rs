//! Budgets and workloads as text for `kubectl apply`.
//!
//! In: what a test states about an object. Out: JSON, which is YAML too. Everything else is left to the API server's
//! defaults, except the grace period, which the fake kubelets do not know.

use std::fmt::{self, Display};

use serde_json::{Map, Value, json};

/// The label by which a workload opts in.
pub const BUDGET_LABEL: &str = "poolbudget.dev/budget";
/// The annotation of a grant for `pool_size`.
pub const POOL_SIZE: &str = "poolbudget.dev/pool-size";
/// The annotation of a grant for `max_overflow`.
pub const MAX_OVERFLOW: &str = "poolbudget.dev/max-overflow";
/// The annotation of a grant for the bill of the whole pod.
pub const CONNECTIONS: &str = "poolbudget.dev/connections";
/// The annotation for the time from scheduled to Ready, in milliseconds.
pub const START_MS: &str = "test.poolbudget.dev/start-ms";
/// The annotation for the time from deleted to gone, in milliseconds.
pub const DRAIN_MS: &str = "test.poolbudget.dev/drain-ms";
/// The annotation for the time from Ready to Succeeded, in milliseconds.
pub const RUN_MS: &str = "test.poolbudget.dev/run-ms";
/// An image that never becomes Ready.
pub const BAD_IMAGE: &str = "shop/app:bad";

/// A workload of any kind with one container, or a bare pod of the same shape.
#[derive(Debug, Clone)]
pub struct Workload {
    kind: Kind,
    namespace: String,
    name: String,
    labels: Map<String, Value>,
    annotations: Map<String, Value>,
    pod_labels: Map<String, Value>,
    pod_annotations: Map<String, Value>,
    gates: Vec<Value>,
    image: String,
    container: String,
    env: Vec<Value>,
    replicas: u32,
    grace: u32,
    strategy: Option<Value>,
    /// More fields of its spec; for a CronJob, of the spec of its Jobs.
    spec: Map<String, Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Deployment,
    StatefulSet,
    DaemonSet,
    ReplicaSet,
    Job,
    CronJob,
    Pod,
}

/// A Deployment of one replica with one container, `app`.
pub fn deployment(namespace: &str, name: &str) -> Workload {
    Workload::new(Kind::Deployment, namespace, name)
}

/// A StatefulSet of one replica with one container, `app`. Its Service does not exist.
pub fn stateful_set(namespace: &str, name: &str) -> Workload {
    Workload::new(Kind::StatefulSet, namespace, name).spec("serviceName", name)
}

/// A DaemonSet with one container, `app`.
pub fn daemon_set(namespace: &str, name: &str) -> Workload {
    Workload::new(Kind::DaemonSet, namespace, name)
}

/// A ReplicaSet of one replica with one container, `app`.
pub fn replica_set(namespace: &str, name: &str) -> Workload {
    Workload::new(Kind::ReplicaSet, namespace, name)
}

/// A Job of one pod with one container, `app`, that succeeds after a while.
pub fn job(namespace: &str, name: &str) -> Workload {
    Workload::new(Kind::Job, namespace, name).pod_annotation(RUN_MS, "1000")
}

/// A CronJob that only runs by `kubectl create job --from`.
pub fn cron_job(namespace: &str, name: &str) -> Workload {
    Workload::new(Kind::CronJob, namespace, name).pod_annotation(RUN_MS, "1000")
}

/// A bare pod with one container, `app`.
pub fn pod(namespace: &str, name: &str) -> Workload {
    Workload::new(Kind::Pod, namespace, name)
}

/// A bare pod as a grant leaves it: without the gate, with its size in annotations that its variables read.
pub fn granted_pod(namespace: &str, name: &str, budget: &str, pool_size: u32, max_overflow: u32) -> Workload {
    let connections = pool_size + max_overflow;
    pod(namespace, name)
        .label(BUDGET_LABEL, budget)
        .annotation(POOL_SIZE, &pool_size.to_string())
        .annotation(MAX_OVERFLOW, &max_overflow.to_string())
        .annotation(CONNECTIONS, &connections.to_string())
        .env_from_annotation("DB_POOL_SIZE", POOL_SIZE)
        .env_from_annotation("DB_MAX_OVERFLOW", MAX_OVERFLOW)
}

impl Workload {
    fn new(kind: Kind, namespace: &str, name: &str) -> Self {
        Self {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            labels: Map::new(),
            annotations: Map::new(),
            pod_labels: Map::from_iter([("app".to_owned(), json!(name))]),
            pod_annotations: Map::new(),
            gates: Vec::new(),
            image: "shop/app:1".to_owned(),
            container: "app".to_owned(),
            env: Vec::new(),
            replicas: 1,
            grace: 60,
            strategy: None,
            spec: Map::new(),
        }
    }

    /// `spec.replicas`.
    pub fn replicas(mut self, replicas: u32) -> Self {
        self.replicas = replicas;
        self
    }

    /// `terminationGracePeriodSeconds`. The fake kubelets ignore it.
    pub fn grace_seconds(mut self, seconds: u32) -> Self {
        self.grace = seconds;
        self
    }

    /// The image of the container; see [`BAD_IMAGE`].
    pub fn image(mut self, image: &str) -> Self {
        image.clone_into(&mut self.image);
        self
    }

    /// The name of the container.
    pub fn container(mut self, name: &str) -> Self {
        name.clone_into(&mut self.container);
        self
    }

    /// `RollingUpdate` with its two numbers; `"25%"` or `1`.
    pub fn rolling(mut self, max_surge: impl Into<Value>, max_unavailable: impl Into<Value>) -> Self {
        let numbers = json!({"maxSurge": max_surge.into(), "maxUnavailable": max_unavailable.into()});
        self.strategy = Some(json!({"type": "RollingUpdate", "rollingUpdate": numbers}));
        self
    }

    /// `Recreate`.
    pub fn recreate(mut self) -> Self {
        self.strategy = Some(json!({"type": "Recreate"}));
        self
    }

    /// A field of the spec; for a CronJob, of the spec of its Jobs.
    pub fn spec(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.spec.insert(field.to_owned(), value.into());
        self
    }

    /// A literal variable of the container.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push(json!({"name": name, "value": value}));
        self
    }

    /// A variable of the container that is read from an annotation of the pod when the container starts.
    pub fn env_from_annotation(mut self, name: &str, annotation: &str) -> Self {
        let path = format!("metadata.annotations['{annotation}']");
        self.env.push(json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}));
        self
    }

    /// A label of the object itself.
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), json!(value));
        self
    }

    /// An annotation of the object itself.
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), json!(value));
        self
    }

    /// A label of the pods.
    pub fn pod_label(mut self, key: &str, value: &str) -> Self {
        self.pod_labels.insert(key.to_owned(), json!(value));
        self
    }

    /// An annotation of the pods.
    pub fn pod_annotation(mut self, key: &str, value: &str) -> Self {
        self.pod_annotations.insert(key.to_owned(), json!(value));
        self
    }

    /// How long its pods take from scheduled to Ready.
    pub fn starts_in_ms(self, milliseconds: u32) -> Self {
        self.pod_annotation(START_MS, &milliseconds.to_string())
    }

    /// How long its pods take from deleted to gone.
    pub fn drains_in_ms(self, milliseconds: u32) -> Self {
        self.pod_annotation(DRAIN_MS, &milliseconds.to_string())
    }

    /// A scheduling gate of the pods.
    pub fn gate(mut self, name: &str) -> Self {
        self.gates.push(json!({"name": name}));
        self
    }

    fn pod_spec(&self) -> Value {
        json!({
            "terminationGracePeriodSeconds": self.grace,
            "schedulingGates": self.gates,
            "containers": [{"name": self.container, "image": self.image, "env": self.env}],
        })
    }

    fn metadata(&self, labels: &Map<String, Value>, annotations: &Map<String, Value>) -> Value {
        json!({"namespace": self.namespace, "name": self.name, "labels": labels, "annotations": annotations})
    }

    /// A workload that makes pods from a template.
    fn as_controller(&self) -> Value {
        let mut spec = self.spec.clone();
        let mut pods = self.pod_spec();
        if matches!(self.kind, Kind::Job | Kind::CronJob) {
            if let Some(fields) = pods.as_object_mut() {
                fields.insert("restartPolicy".to_owned(), json!("Never"));
            }
        } else {
            spec.insert("selector".to_owned(), json!({"matchLabels": {"app": self.name}}));
            let strategy = if self.kind == Kind::Deployment { "strategy" } else { "updateStrategy" };
            if let Some(value) = &self.strategy {
                spec.insert(strategy.to_owned(), value.clone());
            }
        }
        if matches!(self.kind, Kind::Deployment | Kind::StatefulSet | Kind::ReplicaSet) {
            spec.insert("replicas".to_owned(), json!(self.replicas));
        }
        let metadata = json!({"labels": self.pod_labels, "annotations": self.pod_annotations});
        spec.insert("template".to_owned(), json!({"metadata": metadata, "spec": pods}));
        let (group, spec) = match self.kind {
            Kind::Job => ("batch", json!(spec)),
            Kind::CronJob => ("batch", json!({"schedule": "0 0 1 1 *", "jobTemplate": {"spec": spec}})),
            _ => ("apps", json!(spec)),
        };
        json!({
            "apiVersion": format!("{group}/v1"),
            "kind": format!("{:?}", self.kind),
            "metadata": self.metadata(&self.labels, &self.annotations),
            "spec": spec,
        })
    }

    /// A bare pod is object and template at the same time.
    fn as_pod(&self) -> Value {
        let merged = |of: &Map<String, Value>, and: &Map<String, Value>| {
            of.clone().into_iter().chain(and.clone()).collect()
        };
        let labels = merged(&self.labels, &self.pod_labels);
        let annotations = merged(&self.annotations, &self.pod_annotations);
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": self.metadata(&labels, &annotations),
            "spec": self.pod_spec(),
        })
    }
}

impl Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let object = if self.kind == Kind::Pod { self.as_pod() } else { self.as_controller() };
        writeln!(f, "{object:#}")
    }
}

/// A `DbConnectionBudget` with the given `spec`.
pub fn budget(namespace: &str, name: &str, spec: &Value) -> String {
    document(json!({
        "apiVersion": "poolbudget.dev/v1beta1",
        "kind": "DbConnectionBudget",
        "metadata": {"namespace": namespace, "name": name},
        "spec": spec,
    }))
}

/// The `spec` of Supabase's smallest plan in session mode: 15 connections, `reserved` of them reserved.
pub fn nano_session(reserved: u32) -> Value {
    json!({"limit": {"supabase": {"compute": "Nano", "connection": "Session"}}, "reserved": reserved})
}

/// An autoscaler of a Deployment. Without a metrics server it only keeps the replicas between its two bounds.
pub fn autoscaler(namespace: &str, deployment: &str, min: u32, max: u32) -> String {
    let resource = json!({"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}});
    document(json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"namespace": namespace, "name": deployment},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment},
            "minReplicas": min,
            "maxReplicas": max,
            "metrics": [{"type": "Resource", "resource": resource}],
        },
    }))
}

/// A PodDisruptionBudget for the pods of a Deployment; `rule` is `minAvailable` or `maxUnavailable`.
pub fn disruption_budget(namespace: &str, deployment: &str, rule: &str, value: impl Into<Value>) -> String {
    document(json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"namespace": namespace, "name": deployment},
        "spec": {"selector": {"matchLabels": {"app": deployment}}, rule: value.into()},
    }))
}

#[expect(clippy::needless_pass_by_value, reason = "it is made for this call")]
fn document(object: Value) -> String {
    format!("{object:#}\n")
}

/// Several documents as one text to apply.
pub fn documents<T: Display>(documents: &[T]) -> String {
    documents.iter().map(ToString::to_string).collect::<Vec<_>>().join("---\n")
}
