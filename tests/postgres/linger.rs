//! Queries that outlive their pods: with `lingerSeconds` the server refuses nobody, and without it does.
//!
//! Two namespaces with a PostgreSQL, a budget and a Deployment each, and the same done to both at the same moments. The
//! budgets differ in `lingerSeconds` alone. Every connection is always in a query, and all queries end together
//! (`apps/long.py`), so pods that end just after leave queries behind that go on for most of their time.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};
use serde_json::json;
use testkit::install::chart;
use testkit::postgres::apps::BUDGET;
use testkit::postgres::clock;
use testkit::postgres::count::{Count, Sample};
use testkit::postgres::kubelet::{ASKED, Kubelet};
use testkit::postgres::server::Server;
use testkit::postgres::until::until;
use testkit::{Cluster, Operator, Options, Recorder, objects};
use tokio::time::sleep;

const WITH: &str = "with";
const WITHOUT: &str = "without";

/// The longest query, in seconds.
const QUERY: u32 = 8;
/// A little longer.
const LINGER: u32 = 9;

/// What the server lets in, `max_connections` less those for superusers.
const ALLOWED: u64 = 13;
/// For a connection that is being closed while its successor opens.
const RESERVED: u64 = 1;
/// What may be granted: three pods.
const USABLE: u64 = ALLOWED - RESERVED;
/// What a pod opens.
const SIZE: u64 = 4;

/// For what takes as long as a query and its linger, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(90);

/// One that ends a second after SIGTERM.
fn deployment(namespace: &str, server: &Server) -> String {
    let database = format!("postgresql://app@127.0.0.1:{}/app", server.port());
    let container = json!({
        "name": "app", "image": "app", "command": ["python3", "-m", "long"],
        "env": [{"name": "DATABASE_URL", "value": database},
                {"name": "QUERY_SECONDS", "value": QUERY.to_string()}],
    });
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"namespace": namespace, "name": "long", "labels": {objects::BUDGET_LABEL: BUDGET}},
        "spec": {
            "replicas": 0,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": "100%"}},
            "selector": {"matchLabels": {"app": "long"}},
            "template": {
                "metadata": {"labels": {"app": "long"}, "annotations": {ASKED: "processes"}},
                "spec": {"terminationGracePeriodSeconds": 30, "containers": [container]},
            },
        },
    });
    format!("{object:#}\n")
}

/// The next revision: it takes no notice of SIGTERM, and is killed after a second.
fn stubborn() -> String {
    let container = json!({"name": "app", "env": [{"name": "ON_SIGTERM", "value": "ignore"}]});
    let spec = json!({"terminationGracePeriodSeconds": 1, "containers": [container]});
    json!({"spec": {"template": {"spec": spec}}}).to_string()
}

/// One of the two.
struct Side {
    namespace: &'static str,
    client: Client,
    count: Count,
    server: Server,
}

impl Side {
    async fn open(cluster: &Cluster, namespace: &'static str, linger: u32) -> Result<Self> {
        let server = Server::start(u32::try_from(ALLOWED)? + 3).await?;
        let count = Count::start(&server, None).await?;
        cluster.create_namespace(namespace).await?;
        let workload =
            json!({"name": "long", "maxReplicas": 3, "connectionsPerProcess": {"min": SIZE, "max": SIZE}});
        let spec = json!({"limit": {"connections": ALLOWED}, "reserved": RESERVED, "lingerSeconds": linger,
                          "workloads": [workload]});
        cluster.apply(&objects::budget(namespace, BUDGET, &spec)).await?;
        cluster.apply(&deployment(namespace, &server)).await?;
        Ok(Self { namespace, client: cluster.client().await?, count, server })
    }

    async fn pods(&self) -> Result<Vec<Pod>> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), self.namespace);
        Ok(pods.list(&ListParams::default()).await.context("list the pods")?.items)
    }

    /// Until so many pods are there, all of them Ready and of the newest revision, and the server holds all that they
    /// may open, and nothing else.
    async fn whole(&mut self, pods: u64) -> Result<()> {
        let what = format!("{}: {pods} pods hold what they may", self.namespace);
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), self.namespace);
        until(DEADLINE, &what, async || {
            let found = deployments.get("long").await?;
            let status = found.status.unwrap_or_default();
            ensure!(status.observed_generation >= found.metadata.generation, "it has not begun");
            let counts = [status.replicas, status.updated_replicas, status.ready_replicas];
            let there = u64::try_from(self.pods().await?.len())?;
            let held = self.count.samples().await?.last().map_or(0, Sample::held);
            let all = Some(i32::try_from(pods)?);
            ensure!(counts == [all; 3], "{counts:?}");
            ensure!((there, held) == (pods, pods * SIZE), "{there} pods, {held} connections");
            Ok(())
        })
        .await
    }

    /// Until no more than so many pods are there.
    async fn left(&self, pods: usize) -> Result<()> {
        until(DEADLINE, &format!("{}: {pods} pods are left", self.namespace), async || {
            let there = self.pods().await?.len();
            ensure!(there <= pods, "{there}");
            Ok(())
        })
        .await
    }

    /// Kills the container of one pod, and returns when its status says that it runs again.
    async fn crash(&self, kubelet: &Kubelet) -> Result<()> {
        let uid = self.pods().await?.into_iter().find_map(|pod| pod.metadata.uid).context("no pod")?;
        kubelet.crash(&uid);
        until(DEADLINE, "its container was started again", async || {
            let statuses = self.pods().await?.into_iter().filter_map(|pod| pod.status?.container_statuses);
            let restarts: Vec<i32> = statuses.flatten().map(|status| status.restart_count).collect();
            ensure!(restarts.contains(&1), "{restarts:?}");
            Ok(())
        })
        .await
    }
}

/// Both, and what runs beside them.
struct Stage {
    // Fields are dropped in this order: the applications first, then what they use.
    kubelet: Kubelet,
    with: Side,
    without: Side,
    operator: Operator,
    recorder: Recorder,
    cluster: Cluster,
    /// What the server of each side had refused when each act was over, by the name of the act.
    refused: Vec<(&'static str, usize, usize)>,
}

impl Stage {
    async fn open() -> Result<Self> {
        let cluster = Cluster::start(Options::default()).await?;
        let recorder = Recorder::start(&cluster).await?;
        recorder.limit(WITH, BUDGET, USABLE);
        cluster.install_chart(&chart()).await?;
        let operator = cluster.start_replica("poolbudget-0").await?;
        let with = Side::open(&cluster, WITH, LINGER).await?;
        let without = Side::open(&cluster, WITHOUT, 0).await?;
        let kubelet = Kubelet::start(&cluster)?;
        Ok(Self { kubelet, with, without, operator, recorder, cluster, refused: Vec::new() })
    }

    async fn kubectl(&self, args: &[&str]) -> Result<()> {
        for namespace in [WITH, WITHOUT] {
            let all: Vec<&str> = ["-n", namespace].iter().chain(args).copied().collect();
            self.cluster.kubectl(&all).await?;
        }
        Ok(())
    }

    async fn scale(&self, replicas: u64) -> Result<()> {
        self.kubectl(&["scale", "deployment", "long", &format!("--replicas={replicas}")]).await
    }

    /// Both sides have all their pods, and every query has just begun.
    async fn queries_begin(&mut self, pods: u64) -> Result<()> {
        self.with.whole(pods).await?;
        self.without.whole(pods).await?;
        let period = f64::from(QUERY);
        let since = clock::now() % period;
        // A moment later, so that the last one has begun as well.
        sleep(Duration::from_secs_f64(period - since + 0.3)).await;
        Ok(())
    }

    /// What the act has come to, when the governed side has room again.
    async fn over(&mut self, act: &'static str, pods: u64) -> Result<()> {
        self.with.whole(pods).await?;
        self.refused.push((act, self.with.server.refused()?, self.without.server.refused()?));
        Ok(())
    }

    /// A container is killed and started again in its pod; then another pod is asked for.
    async fn crash(&mut self) -> Result<()> {
        self.scale(2).await?;
        self.queries_begin(2).await?;
        for side in [&self.with, &self.without] {
            side.crash(&self.kubelet).await?;
        }
        self.scale(3).await?;
        self.over("crash", 3).await
    }

    /// All pods are replaced at once. The old ones end in the middle of their queries.
    async fn roll_out(&mut self) -> Result<()> {
        self.queries_begin(3).await?;
        self.kubectl(&["patch", "deployment", "long", "-p", &stubborn()]).await?;
        self.over("rollout", 3).await
    }

    /// Two pods are killed at the end of their grace period; then as many are asked for again.
    async fn kill(&mut self) -> Result<()> {
        self.queries_begin(3).await?;
        self.scale(1).await?;
        self.with.left(1).await?;
        self.without.left(1).await?;
        self.scale(3).await?;
        self.over("kill", 3).await
    }
}

/// The promise, by the word of the server, of the applications, and of those who count.
async fn assert_unharmed(stage: &mut Stage) {
    assert_eq!(stage.with.server.refused().unwrap(), 0);
    let lives = stage.kubelet.tally().of(WITH);
    let troubles: Vec<_> = lives.iter().flat_map(|life| life.refused.iter().chain(&life.failed)).collect();
    assert_eq!(troubles, Vec::<&_>::new());
    // Two from the start, a third, three of the next revision, and two in place of those that were killed.
    assert_eq!((lives.len(), lives.iter().filter(|life| life.killed).count()), (8, 2), "{lives:?}");
    let peak = stage.with.count.samples().await.unwrap().iter().map(Sample::held).max();
    assert_eq!(peak, Some(USABLE));
    stage.recorder.caught_up().await;
    assert_eq!(stage.recorder.first_over().map(|over| format!("{over:?}")), None);
    assert_eq!(stage.recorder.faults(), Vec::<String>::new());
}

/// The same load without it: each act meets the limit of the server.
async fn assert_refused(stage: &mut Stage) {
    let mut before = 0;
    for (act, _, refused) in &stage.refused {
        assert!(*refused > before, "{act}: nobody was refused: {:?}", stage.refused);
        before = *refused;
    }
    let lives = stage.kubelet.tally().of(WITHOUT);
    assert!(lives.iter().any(|life| !life.refused.is_empty()), "no application was refused");
    let peak = stage.without.count.samples().await.unwrap().iter().map(Sample::held).max();
    assert_eq!(peak, Some(ALLOWED));
}

#[tokio::test]
async fn queries_that_outlive_their_pods_are_counted_for_as_long_as_the_budget_says() {
    let mut stage = Stage::open().await.unwrap();
    stage.crash().await.unwrap();
    stage.roll_out().await.unwrap();
    stage.kill().await.unwrap();
    assert!(stage.operator.is_running().unwrap());
    assert_eq!(stage.kubelet.tally().faults, Vec::<String>::new());
    assert_unharmed(&mut stage).await;
    assert_refused(&mut stage).await;
}
