//! The Deployments of the story and their budget.
//!
//! In: the address of the database. Out: text to apply. Both sides get the same; one also has the label.

use serde_json::{Map, Value, json};

use super::kubelet::ASKED;
use crate::objects;

/// The name of the budget.
pub const BUDGET: &str = "main";

/// For how many seconds a pod keeps serving after its deletion, because its Service has to forget it first.
const PRE_STOP: i64 = 2;

/// An application, by the name of its Deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum App {
    /// Threads over SQLAlchemy's QueuePool.
    Api,
    /// Tasks over the asynchronous engine.
    Feed,
    /// gunicorn with four workers, and its visitors.
    Web,
}

/// All of them.
pub const APPS: [App; 3] = [App::Api, App::Feed, App::Web];

impl App {
    /// The name of its Deployment.
    pub fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Feed => "feed",
            Self::Web => "web",
        }
    }

    fn processes(self) -> u32 {
        if self == Self::Web { 4 } else { 1 }
    }

    /// The default of Kubernetes, except for the largest pods: those end before their successors start.
    fn strategy(self) -> Value {
        match self {
            Self::Api | Self::Feed => Value::Null,
            Self::Web => {
                json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}})
            }
        }
    }

    fn containers(self, database: &str) -> Value {
        let env = json!([
            {"name": "DATABASE_URL", "value": database},
            // As in many a template: SQLAlchemy's defaults.
            {"name": "DB_POOL_SIZE", "value": "5"},
            {"name": "DB_MAX_OVERFLOW", "value": "10"},
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ]);
        let container_with = |name: &str, command: Value, env: &Value| {
            json!({"name": name, "image": "app", "command": command, "env": env,
                   "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP}}}})
        };
        let container = |name: &str, command: Value| container_with(name, command, &env);
        // The visitors open no connections, and have no pool variables.
        let address = json!([{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]);
        match self {
            Self::Api => json!([container("app", json!(["python3", "-m", "threads"]))]),
            Self::Feed => json!([container("app", json!(["python3", "-m", "tasks"]))]),
            Self::Web => json!([
                container("app", json!(["gunicorn", "-c", "python:gunicorn_conf", "web:app"])),
                container_with("visitors", json!(["python3", "-m", "visitors"]), &address),
            ]),
        }
    }

    /// Its Deployment without pods, with or without the budget.
    pub fn deployment(self, namespace: &str, database: &str, governed: bool) -> String {
        let mut labels = Map::new();
        if governed {
            labels.insert(objects::BUDGET_LABEL.to_owned(), json!(BUDGET));
        }
        let annotations = match self.processes() {
            1 => json!({}),
            processes => json!({"poolbudget.dev/processes": processes.to_string()}),
        };
        let template = json!({
            "metadata": {"labels": {"app": self.name()}, "annotations": {ASKED: "processes"}},
            "spec": {"terminationGracePeriodSeconds": 30, "containers": self.containers(database)},
        });
        let object = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"namespace": namespace, "name": self.name(), "labels": labels, "annotations": annotations},
            "spec": {
                "replicas": 0,
                "strategy": self.strategy(),
                "selector": {"matchLabels": {"app": self.name()}},
                "template": template,
            },
        });
        format!("{object:#}\n")
    }
}

/// The budget of all of them. `ceilings` are the replicas up to which no running pod has to be replaced.
pub fn budget(namespace: &str, limit: &Value, reserved: u64, ceilings: &[(App, u32)]) -> String {
    let workload = |(app, most): &(App, u32)| json!({"name": app.name(), "maxReplicas": most});
    let workloads: Vec<Value> = ceilings.iter().map(workload).collect();
    let spec = json!({"limit": limit, "reserved": reserved, "workloads": workloads});
    objects::budget(namespace, BUDGET, &spec)
}
