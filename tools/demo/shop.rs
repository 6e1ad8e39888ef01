//! What the demo acts on: a control plane with poolbudget in it, an application, and the recorder that judges.
//!
//! In: commands as a user types them. Out: a [`Moment`], the world as it is now. Whether the sum is kept is
//! never taken from the operator: sums and pods are the recorder's.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Api, Client};
use poolbudget::api::conditions::ConditionType;
use poolbudget::api::{DbConnectionBudget, DbConnectionBudgetStatus};
use testkit::bill::Standing;
use testkit::install::chart;
use testkit::ledger::PodView;
use testkit::process::log_end;
use testkit::{Cluster, Operator, Options, Recorder};
use tokio::time::Instant;

use super::screen::{PodLine, Scene, State};

/// Where the application is: what kubectl takes when nothing is said.
const NAMESPACE: &str = "default";
/// The budget of `examples/free-tier.yaml`.
const BUDGET: &str = "main";
/// The Deployment of `examples/shop.yaml`.
const DEPLOYMENT: &str = "api";
/// What its plan allows.
const LIMIT: u64 = 15;
/// That without what is reserved: what the recorder judges by.
pub const USABLE: u64 = 13;

/// All of it. Dropping it ends every program and removes every file.
pub struct Shop {
    // Fields are dropped in this order: those who need the cluster before it.
    operator: Option<Operator>,
    recorder: Recorder,
    cluster: Cluster,
    client: Client,
    recording_since: Instant,
}

/// The world as it is now.
#[derive(Debug)]
pub struct Moment {
    /// What there is to be seen.
    pub scene: Scene,
    /// What the budget says of itself, once there is one.
    pub status: Option<DbConnectionBudgetStatus>,
    deployment: Option<Deployment>,
    running: i32,
}

impl Shop {
    /// A cluster with nothing in it, and the recorder watching.
    pub async fn open() -> Result<Self> {
        let cluster = Cluster::start(Options::default()).await?;
        let client = cluster.client().await?;
        let recording_since = Instant::now();
        let recorder = Recorder::start(&cluster).await?;
        recorder.limit(NAMESPACE, BUDGET, USABLE);
        Ok(Self { operator: None, recorder, cluster, client, recording_since })
    }

    /// Installs the chart and starts the program that stands for its pod.
    pub async fn install(&mut self) -> Result<()> {
        self.cluster.install_chart(&chart()).await?;
        self.operator = Some(self.cluster.start_replica("poolbudget-0").await?);
        Ok(())
    }

    /// Runs a command as it is typed, such as `kubectl get pods`.
    pub async fn run(&self, command: &str) -> Result<String> {
        let words: Vec<&str> = command.split_whitespace().collect();
        match words.as_slice() {
            ["kubectl", args @ ..] => self.cluster.kubectl(args).await,
            _ => bail!("the demo only knows kubectl, not {command:?}"),
        }
    }

    /// Looks at it.
    pub async fn look(&mut self) -> Result<Moment> {
        if let Some(operator) = &mut self.operator {
            ensure!(operator.is_running()?, "the operator has ended");
        }
        let budgets: Api<DbConnectionBudget> = Api::namespaced(self.client.clone(), NAMESPACE);
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), NAMESPACE);
        let deployment = deployments.get_opt(DEPLOYMENT).await.context("read the Deployment")?;
        // Before the chart is installed there are no budgets to be asked for.
        let budget = match self.operator {
            Some(_) => budgets.get_opt(BUDGET).await.context("read the budget")?,
            None => None,
        };
        let status = budget.map(|budget| budget.status.unwrap_or_default());
        Ok(self.moment(deployment, status))
    }

    fn moment(&self, deployment: Option<Deployment>, status: Option<DbConnectionBudgetStatus>) -> Moment {
        let governed = self.recorder.pods(NAMESPACE, BUDGET);
        let others = self.recorder.ungoverned_pods(NAMESPACE);
        let running = governed.iter().filter(|pod| runs(pod)).count();
        let mut pods: Vec<PodLine> = governed.iter().chain(&others).filter_map(line).collect();
        pods.sort_unstable();
        let held = self.recorder.totals(NAMESPACE, BUDGET).connections;
        let outside = self.recorder.ungoverned(NAMESPACE).connections;
        let scene = match &status {
            Some(status) => {
                let allowed = u64::try_from(status.usable).ok().filter(|usable| *usable > 0);
                Scene { held, allowed: allowed.unwrap_or(USABLE), outside, pods }
            }
            None => Scene { held: held + outside, allowed: LIMIT, outside: 0, pods },
        };
        Moment { scene, status, deployment, running: i32::try_from(running).unwrap_or(i32::MAX) }
    }

    /// The highest sum of the budget's pods since then.
    pub fn highest_since(&self, then: Instant) -> u64 {
        let then = then.saturating_duration_since(self.recording_since);
        let timeline = self.recorder.timeline(NAMESPACE, BUDGET);
        // What held at that moment is what the last change before it left.
        let first = timeline.iter().rposition(|change| change.at <= then).unwrap_or(0);
        timeline.iter().skip(first).map(|change| change.totals.connections).max().unwrap_or(0)
    }

    /// The highest sum of the budget's pods ever.
    pub fn highest(&self) -> u64 {
        self.recorder.peak(NAMESPACE, BUDGET)
    }

    /// When the first pod was granted its size.
    pub fn first_grant(&self) -> Option<Instant> {
        let timeline = self.recorder.timeline(NAMESPACE, BUDGET);
        let first = timeline.iter().find(|change| change.totals.granted > 0)?;
        Some(self.recording_since + first.at)
    }

    /// What was wrong: a sum over its limit, a pod that does not read what it was granted.
    pub async fn wrongs(&self) -> Vec<String> {
        self.recorder.caught_up().await;
        let over = self.recorder.first_over();
        let over = over.map(|over| {
            let after = over.at.as_secs_f64();
            format!(
                "{} held {} of {} connections {after:.3} s into the recording: {:?}",
                over.account, over.connections, over.limit, over.pods
            )
        });
        over.into_iter().chain(self.recorder.faults()).collect()
    }

    /// What to type in another terminal to reach it.
    pub fn way_in(&self) -> [String; 2] {
        let kubectl = self.cluster.tools().program("kubectl");
        let folder = kubectl.parent().map(|folder| folder.display().to_string()).unwrap_or_default();
        [
            format!("export KUBECONFIG={}", self.cluster.kubeconfig().display()),
            format!("export PATH={folder}:$PATH"),
        ]
    }

    /// The end of what the operator has logged.
    pub fn operator_log(&self) -> Option<String> {
        self.operator.as_ref().map(|operator| log_end(operator.log_file()))
    }
}

impl Moment {
    /// Whether the Deployment has all its pods, Ready and of its newest revision, and nobody else is left.
    pub fn complete(&self, replicas: i32) -> Result<(), String> {
        let deployment = self.deployment.as_ref().ok_or("there is no Deployment")?;
        let status = deployment.status.clone().unwrap_or_default();
        let counts = [status.replicas, status.updated_replicas, status.ready_replicas];
        if status.observed_generation < deployment.metadata.generation {
            return Err("the Deployment is about to move".to_owned());
        }
        let [all, updated, ready] = counts.map(Option::unwrap_or_default);
        if [all, updated, ready] != [replicas; 3] {
            return Err(format!("{ready} of {replicas} pods are ready, {updated} of {all} up to date"));
        }
        match i32::try_from(self.scene.pods.len()) {
            Ok(pods) if pods == replicas => Ok(()),
            _ => Err("pods are on their way out".to_owned()),
        }
    }

    /// Whether it is complete, every pod runs with a grant, and the budget says so.
    pub fn settled(&self, replicas: i32) -> Result<(), String> {
        self.says(ConditionType::Settled.name(), "True", "Settled")?;
        self.complete(replicas)?;
        if self.running == replicas { Ok(()) } else { Err(format!("{} pods run with a grant", self.running)) }
    }

    /// Whether the budget says that so many replicas do not fit, and as many as do fit run.
    pub fn stands(&self, replicas: i32) -> Result<(), String> {
        self.says(ConditionType::Feasible.name(), "False", "DoesNotFit")?;
        self.says(ConditionType::Settled.name(), "False", "Infeasible")?;
        let workloads = self.status.iter().flat_map(|status| &status.workloads);
        let slots: i32 = workloads.map(|workload| workload.slots).sum();
        let there = i32::try_from(self.scene.pods.len()).unwrap_or(i32::MAX);
        if self.running == slots && there == replicas {
            return Ok(());
        }
        Err(format!("{} of {slots} pods that fit run, {there} of {replicas} are there", self.running))
    }

    /// What the budget says on a subject.
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == kind)
    }

    fn says(&self, kind: &str, status: &str, reason: &str) -> Result<(), String> {
        match self.condition(kind) {
            Some(condition) if condition.status == status && condition.reason == reason => Ok(()),
            Some(condition) => Err(condition.message.clone()),
            None => Err("the budget has not been looked at".to_owned()),
        }
    }
}

/// A pod that holds nothing any more is not shown.
fn line(pod: &PodView) -> Option<PodLine> {
    let (state, size) = match pod.bill.standing {
        Standing::Gated => (State::Waiting, "-".to_owned()),
        Standing::Granted { pool_size, max_overflow } => {
            let state = if pod.terminating { State::Draining } else { State::Granted };
            (state, format!("{pool_size}+{max_overflow}"))
        }
        Standing::Foreign => (State::Ungoverned, pod.bill.connections.to_string()),
        Standing::Ended => return None,
    };
    Some(PodLine { state, name: pod.name.clone(), size })
}

fn runs(pod: &PodView) -> bool {
    matches!(pod.bill.standing, Standing::Granted { .. }) && pod.ready && !pod.terminating
}

/// `9.2 s`, `3 min 12 s`.
pub fn in_words(time: Duration) -> String {
    match time.as_secs() {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}
