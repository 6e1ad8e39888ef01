//! A workload of any kind with one container, or a bare pod of the same shape, as a chain of what is stated about it.
//!
//! In: the kind and what a test states. Out: the object as JSON, or as text.

use std::fmt::{self, Display};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{DRAIN_MS, MAX_OVERFLOW, POOL_SIZE, START_MS};

/// What a test states about a workload or a pod.
#[derive(Debug, Clone)]
pub struct Workload {
    kind: Kind,
    /// Without its labels and annotations.
    metadata: Map<String, Value>,
    labels: Map<String, Value>,
    annotations: Map<String, Value>,
    pod_labels: Map<String, Value>,
    pod_annotations: Map<String, Value>,
    /// Without its env.
    container: Map<String, Value>,
    env: Vec<Value>,
    /// The spec of the pods without gates and containers.
    pod_spec: Map<String, Value>,
    gates: Vec<Value>,
    replicas: u32,
    strategy: Option<Value>,
    /// More fields of its spec; for a CronJob, of the spec of its Jobs.
    spec: Map<String, Value>,
    status: Option<Value>,
}

/// What a [`Workload`] is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the variants are the names of the kinds")]
pub enum Kind {
    #[default]
    Deployment,
    StatefulSet,
    DaemonSet,
    ReplicaSet,
    Job,
    CronJob,
    Pod,
}

impl Kind {
    /// Group and version.
    pub const fn api_version(self) -> &'static str {
        match self {
            Self::Pod => "v1",
            Self::Job | Self::CronJob => "batch/v1",
            _ => "apps/v1",
        }
    }

    /// Where its pod template is, as a JSON pointer; a pod is its own.
    pub const fn template(self) -> &'static str {
        match self {
            Self::Pod => "",
            Self::CronJob => "/spec/jobTemplate/spec/template",
            _ => "/spec/template",
        }
    }
}

impl Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl Workload {
    /// One of this kind, with one container, `app`.
    pub fn of(kind: Kind, namespace: &str, name: &str) -> Self {
        Self {
            kind,
            metadata: fields([("namespace", json!(namespace)), ("name", json!(name))]),
            labels: Map::new(),
            annotations: Map::new(),
            pod_labels: fields([("app", json!(name))]),
            pod_annotations: Map::new(),
            container: fields([("name", json!("app")), ("image", json!("shop/app:1"))]),
            env: Vec::new(),
            pod_spec: fields([("terminationGracePeriodSeconds", json!(60))]),
            gates: Vec::new(),
            replicas: 1,
            strategy: None,
            spec: Map::new(),
            status: None,
        }
    }

    /// What it is.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// `spec.replicas`.
    pub fn replicas(mut self, replicas: u32) -> Self {
        self.replicas = replicas;
        self
    }

    /// So that it makes no pods.
    pub fn idle(self) -> Self {
        match self.kind {
            Kind::Job | Kind::CronJob => self.spec("suspend", true),
            Kind::DaemonSet => self.pod_spec("nodeSelector", json!({"nobody": "here"})),
            _ => self.replicas(0),
        }
    }

    /// `terminationGracePeriodSeconds`. The fake kubelets ignore it.
    pub fn grace_seconds(self, seconds: u32) -> Self {
        self.pod_spec("terminationGracePeriodSeconds", seconds)
    }

    /// The image of the container; see [`BAD_IMAGE`](super::BAD_IMAGE).
    pub fn image(mut self, image: &str) -> Self {
        self.container.insert("image".to_owned(), json!(image));
        self
    }

    /// The name of the container.
    pub fn container(mut self, name: &str) -> Self {
        self.container.insert("name".to_owned(), json!(name));
        self
    }

    /// What the container runs.
    pub fn command(mut self, words: &[&str]) -> Self {
        self.container.insert("command".to_owned(), json!(words));
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

    /// A field of the spec of the pods.
    pub fn pod_spec(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.pod_spec.insert(field.to_owned(), value.into());
        self
    }

    /// A field of the object's metadata.
    pub fn meta(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.metadata.insert(field.to_owned(), value.into());
        self
    }

    /// The controller that made it.
    pub fn owner(self, kind: Kind, name: &str, uid: &str) -> Self {
        let owner = json!({"apiVersion": kind.api_version(), "kind": kind.to_string(), "name": name, "uid": uid, "controller": true});
        self.meta("ownerReferences", json!([owner]))
    }

    /// What its controller or kubelet says.
    pub fn status(mut self, status: Value) -> Self {
        self.status = Some(status);
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

    /// The variables of SQLAlchemy's profile, read from the grant.
    pub fn late_bound(self) -> Self {
        self.env_from_annotation("DB_POOL_SIZE", POOL_SIZE)
            .env_from_annotation("DB_MAX_OVERFLOW", MAX_OVERFLOW)
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

    /// The object.
    pub fn json(&self) -> Value {
        let mut object = if self.kind == Kind::Pod { self.as_pod() } else { self.as_controller() };
        if let Some(status) = &self.status {
            object["status"] = status.clone();
        }
        object
    }

    fn spec_of_pods(&self) -> Map<String, Value> {
        let mut container = self.container.clone();
        insert_list(&mut container, "env", &self.env);
        let mut spec = self.pod_spec.clone();
        insert_list(&mut spec, "schedulingGates", &self.gates);
        spec.insert("containers".to_owned(), json!([container]));
        spec
    }

    fn object(&self, metadata: &Map<String, Value>, spec: &Value) -> Value {
        json!({
            "apiVersion": self.kind.api_version(),
            "kind": self.kind.to_string(),
            "metadata": metadata,
            "spec": spec,
        })
    }

    /// A workload that makes pods from a template.
    fn as_controller(&self) -> Value {
        let mut spec = self.spec.clone();
        let mut pods = self.spec_of_pods();
        if matches!(self.kind, Kind::Job | Kind::CronJob) {
            pods.insert("restartPolicy".to_owned(), json!("Never"));
        } else {
            spec.insert("selector".to_owned(), json!({"matchLabels": {"app": self.metadata["name"]}}));
            let strategy = if self.kind == Kind::Deployment { "strategy" } else { "updateStrategy" };
            if let Some(value) = &self.strategy {
                spec.insert(strategy.to_owned(), value.clone());
            }
        }
        if matches!(self.kind, Kind::Deployment | Kind::StatefulSet | Kind::ReplicaSet) {
            spec.insert("replicas".to_owned(), json!(self.replicas));
        }
        let metadata = with_keys(&Map::new(), &self.pod_labels, &self.pod_annotations);
        spec.insert("template".to_owned(), json!({"metadata": metadata, "spec": pods}));
        let spec = match self.kind {
            Kind::CronJob => json!({"schedule": "0 0 1 1 *", "jobTemplate": {"spec": spec}}),
            _ => json!(spec),
        };
        self.object(&with_keys(&self.metadata, &self.labels, &self.annotations), &spec)
    }

    /// A bare pod is object and template at the same time.
    fn as_pod(&self) -> Value {
        let merged = |of: &Map<String, Value>, and: &Map<String, Value>| {
            of.clone().into_iter().chain(and.clone()).collect()
        };
        let labels = merged(&self.labels, &self.pod_labels);
        let annotations = merged(&self.annotations, &self.pod_annotations);
        self.object(&with_keys(&self.metadata, &labels, &annotations), &json!(self.spec_of_pods()))
    }
}

fn fields<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    fields.into_iter().map(|(field, value)| (field.to_owned(), value)).collect()
}

fn insert_list(object: &mut Map<String, Value>, field: &str, list: &[Value]) {
    if !list.is_empty() {
        object.insert(field.to_owned(), json!(list));
    }
}

fn with_keys(
    metadata: &Map<String, Value>,
    labels: &Map<String, Value>,
    annotations: &Map<String, Value>,
) -> Map<String, Value> {
    let mut metadata = metadata.clone();
    for (field, keys) in [("labels", labels), ("annotations", annotations)] {
        if !keys.is_empty() {
            metadata.insert(field.to_owned(), json!(keys));
        }
    }
    metadata
}

impl Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:#}", self.json())
    }
}
