//! A cluster with the chart installed, the operator running as the chart says, and the recorder watching.

use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, Client};
use serde_json::Value;
use testkit::install::{RELEASE, SYSTEM, chart};
use testkit::objects::{budget, nano_session};
use testkit::{Cluster, Operator, Options, Recorder, Version, eventually};

/// The namespace of the workloads.
pub const SHOP: &str = "shop";
/// Makes each of these rules, which take a version, a test on every version of Kubernetes: on 1.36, where policies gate
/// pods, and on 1.33, where the webhook does.
macro_rules! on_every_version {
    ($($rule:ident),+ $(,)?) => {
        mod on_1_36_with_policies {
            $(#[tokio::test] async fn $rule() { super::$rule(testkit::Version::Current).await; })+
        }
        mod on_1_33_with_the_webhook {
            $(#[tokio::test] async fn $rule() { super::$rule(testkit::Version::Older).await; })+
        }
    };
}
pub(crate) use on_every_version;

/// How long anything may take to settle on a busy machine.
pub const SETTLES: Duration = Duration::from_secs(120);

/// A cluster with poolbudget in it.
pub struct Installed {
    // Fields are dropped in this order: the cluster last, with the folder that holds everyone's logs.
    /// The operator's replicas.
    pub operators: Vec<Operator>,
    /// The independent count.
    pub recorder: Recorder,
    /// Its administrator's client.
    pub client: Client,
    /// The cluster.
    pub cluster: Cluster,
}

impl Installed {
    /// A cluster with the chart and one replica of the operator.
    pub async fn start() -> Self {
        Self::start_on(Version::Current).await
    }

    /// The same on this version of Kubernetes.
    pub async fn start_on(version: Version) -> Self {
        let mut installed = Self::without_operator_on(version, |_| chart()).await;
        installed.add_operator("poolbudget-0").await;
        installed
    }

    /// A cluster with the chart; nobody grants.
    pub async fn without_operator() -> Self {
        Self::without_operator_of(|_| chart()).await
    }

    /// A cluster with the chart that `chart` names; nobody grants.
    pub async fn without_operator_of(chart: impl FnOnce(&Self) -> PathBuf) -> Self {
        Self::without_operator_on(Version::Current, chart).await
    }

    /// The same on this version of Kubernetes.
    pub async fn without_operator_on(version: Version, chart: impl FnOnce(&Self) -> PathBuf) -> Self {
        let cluster = Cluster::start(Options { version, ..Options::default() }).await.unwrap();
        let client = cluster.client().await.unwrap();
        let recorder = Recorder::start(&cluster).await.unwrap();
        let installed = Self { cluster, client, recorder, operators: Vec::new() };
        let chart = chart(&installed);
        installed.cluster.install_chart(&chart).await.unwrap();
        installed.cluster.create_namespace(SHOP).await.unwrap();
        installed
    }

    /// Installs the chart of this tree and waits until its policies are in force.
    pub async fn install(&self) {
        self.cluster.install_chart(&chart()).await.unwrap();
    }

    /// Starts one more replica of the operator.
    pub async fn add_operator(&mut self, pod: &str) {
        self.operators.push(self.cluster.start_replica(pod).await.unwrap());
    }

    /// The budget of the smallest plan in session mode, 2 of 15 kept: 13 for all.
    pub async fn nano_budget(&self) {
        self.recorder.limit(SHOP, "main", 13);
        self.apply(&budget(SHOP, "main", &nano_session(2))).await;
    }

    /// `kubectl apply`.
    pub async fn apply(&self, manifest: &str) {
        self.cluster.apply(manifest).await.unwrap();
    }

    /// `kubectl -n shop …`.
    pub async fn kubectl(&self, args: &[&str]) -> String {
        self.try_kubectl(args).await.unwrap()
    }

    /// The same where it may fail for a moment: for what is awaited. What is read may be gone or not there yet, and what is
    /// written may meet policies that come or go.
    pub async fn try_kubectl(&self, args: &[&str]) -> Result<String, String> {
        let args: Vec<&str> = ["-n", SHOP].iter().chain(args).copied().collect();
        self.cluster.kubectl(&args).await.map_err(|error| format!("{error:#}"))
    }

    /// Writes into the status of a budget as an operator might have: nobody else may, and it needs more rights for that
    /// than the operator has.
    pub async fn write_status(&self, budget: &str, status: &str) {
        let operator = format!("--as=system:serviceaccount:{SYSTEM}:{RELEASE}");
        let who = [operator.as_str(), "--as-group=system:masters"];
        let patch = ["patch", "dbcb", budget, "--subresource=status", "--type=merge", "-p", status];
        self.kubectl(&[&who[..], &patch].concat()).await;
    }

    /// `kubectl scale`.
    pub async fn scale(&self, deployment: &str, replicas: i32) {
        self.kubectl(&["scale", "deployment", deployment, &format!("--replicas={replicas}")]).await;
    }

    /// A rollout to another image.
    pub async fn set_image(&self, deployment: &str, image: &str) {
        self.kubectl(&["set", "image", &format!("deployment/{deployment}"), &format!("app={image}")]).await;
    }

    /// The budget `main` as it is now.
    pub async fn budget(&self) -> Value {
        serde_json::from_str(&self.kubectl(&["get", "dbcb", "main", "-o", "json"]).await).unwrap()
    }

    /// A condition of the budget `main`: status, reason and message.
    pub async fn condition(&self, kind: &str) -> (String, String, String) {
        let budget = self.budget().await;
        let conditions = budget["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.iter().find(|condition| condition["type"] == kind);
        let text = |key: &str| found.map_or("", |c| c[key].as_str().unwrap_or_default()).to_owned();
        (text("status"), text("reason"), text("message"))
    }

    /// Waits until a condition of the budget `main` has this status and reason; gives its message.
    pub async fn awaits(&self, kind: &str, status: &str, reason: &str) -> String {
        eventually(SETTLES, &format!("{kind}={status} {reason}"), async || {
            let (is, why, message) = self.condition(kind).await;
            if is == status && (reason.is_empty() || why == reason) {
                Ok(message)
            } else {
                Err(format!("{kind}={is} {why}: {message}"))
            }
        })
        .await
    }

    /// Waits for an event in the shop that has this reason and says this, among others.
    pub async fn awaits_event(&self, reason: &str, part: &str) {
        let format = "jsonpath={range .items[*]}{.involvedObject.kind}/{.involvedObject.name} {.reason}: {.message}{\"\\n\"}{end}";
        eventually(SETTLES, &format!("an event {reason} with {part:?}"), async || {
            let all = self.try_kubectl(&["get", "events", "-o", format]).await?;
            let found = all.lines().any(|line| line.contains(&format!(" {reason}: ")) && line.contains(part));
            if found { Ok(()) } else { Err(all) }
        })
        .await;
    }

    /// Waits until each deployment has all its pods of the newest revision ready and nothing else, and the budget says
    /// that it is settled.
    pub async fn settles(&self, deployments: &[(&str, i32)]) {
        for (name, replicas) in deployments {
            self.complete(name, *replicas).await;
        }
        self.awaits("Settled", "True", "Settled").await;
        self.recorder.assert_never_over().await;
    }

    /// Waits until a deployment has so many pods of its newest revision, ready, and no others.
    pub async fn complete(&self, name: &str, replicas: i32) {
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), SHOP);
        eventually(SETTLES, &format!("{name} is complete with {replicas}"), async || {
            let deployment = api.get(name).await.map_err(|error| error.to_string())?;
            let status = deployment.status.unwrap_or_default();
            let seen = status.observed_generation >= deployment.metadata.generation;
            let counts = [status.replicas, status.updated_replicas, status.ready_replicas]
                .map(Option::unwrap_or_default);
            if seen && counts == [replicas; 3] {
                Ok(())
            } else {
                Err(format!("observed {seen}, counts {counts:?}"))
            }
        })
        .await;
    }
}
