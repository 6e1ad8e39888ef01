//! docs/tutorial.md, run as it stands: its commands, in its order, and what it shows.
//!
//! The control plane, PostgreSQL, gunicorn and Alembic are real; a stand-in kubelet runs the pods of the image `shop:` as
//! processes, and `tests/postgres/tutorial/kubectl` answers `logs` and `exec` for it. What the page claims between its
//! commands is judged here by the server's own word.

mod page;

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};
use testkit::install::{RELEASE, SYSTEM, chart, operator_binary};
use testkit::place::root;
use testkit::postgres::count::{Count, Sample};
use testkit::postgres::kubelet::{ASKED, Kubelet};
use testkit::postgres::server::Server;
use testkit::postgres::until::until;
use testkit::postgres::{clock, place};
use testkit::{Cluster, Operator, Options, Recorder};
use tokio::process::Command;
use tokio::time::timeout;

use page::{Block, Section, Step, read, says};

/// How long a command may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(180);

/// What the page says of its database and its budget.
const LIMIT: u64 = 15;
const USABLE: u64 = 13;

/// The namespace that the page makes.
const SHOP: &str = "shop";

/// The sections after which something is judged.
const JUDGED: [&str; 3] = ["The problem", "Put it under the budget", "Migrate"];

fn tutorial() -> Vec<Section> {
    let sections = read(&fs::read_to_string(root().join("docs/tutorial.md")).unwrap()).unwrap();
    for title in JUDGED {
        assert!(sections.iter().any(|section| section.title == title), "the page has no section {title}");
    }
    sections
}

/// What the page is played on.
struct Stage {
    // Fields are dropped in this order: the applications first, then what they use.
    kubelet: Kubelet,
    count: Count,
    server: Server,
    operator: Operator,
    recorder: Recorder,
    cluster: Cluster,
    kubeconfig: PathBuf,
    /// Since when the budget holds, and how many connections the server had refused before.
    settled: Option<(f64, usize)>,
}

impl Stage {
    async fn open() -> Self {
        let cluster = Cluster::start(Options::default()).await.unwrap();
        let recorder = Recorder::start(&cluster).await.unwrap();
        recorder.limit(SHOP, "main", USABLE);
        cluster.install_chart(&chart()).await.unwrap();
        let binary = operator_binary().unwrap();
        let launch = cluster.launch_of(SYSTEM, RELEASE, "poolbudget-0", &binary).await.unwrap();
        // The addresses of the stand-in's pods are of loopback, where poolbudget asks nobody by itself.
        let operator = cluster.start_operator(&launch.env("POOLBUDGET_POD_NETWORKS", "127.0.0.0/8")).unwrap();
        // 18 as on the page: three of them are for superusers.
        let server = Server::start(u32::try_from(LIMIT).unwrap() + 3).await.unwrap();
        let count = Count::start(&server, None).await.unwrap();
        let kubelet = Kubelet::start(&cluster).unwrap();
        // The page sets the namespace of its context.
        let kubeconfig = cluster.folder().file("tutorial.kubeconfig");
        fs::copy(cluster.kubeconfig(), &kubeconfig).unwrap();
        let stage = Self { kubelet, count, server, operator, recorder, cluster, kubeconfig, settled: None };
        stage.ask_for_processes().await.unwrap();
        stage
    }

    /// The manifests of the example name no stand-in; a policy of this cluster marks its pods.
    async fn ask_for_processes(&self) -> Result<()> {
        let annotations =
            format!(r#"Object{{metadata: Object.metadata{{annotations: {{"{ASKED}": "processes"}}}}}}"#);
        let kind = |kind: &str, spec: &Value| {
            json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
                   "metadata": {"name": "as-processes"}, "spec": spec})
        };
        let policy = kind(
            "MutatingAdmissionPolicy",
            &json!({
                "reinvocationPolicy": "Never",
                "matchConstraints": {"resourceRules": [
                    {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}]},
                "matchConditions": [
                    {"name": "shop", "expression": "object.spec.containers.exists(it, it.image.startsWith('shop:'))"}],
                "mutations": [
                    {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": annotations}}],
            }),
        );
        let binding = kind("MutatingAdmissionPolicyBinding", &json!({"policyName": "as-processes"}));
        self.cluster.apply(&format!("{policy}\n---\n{binding}\n")).await?;
        let probe = ["run", "probe", "--image=shop:dev", "--dry-run=server", "-o", "yaml"];
        until(DEADLINE, "the policy is in force", async || {
            ensure!(self.cluster.kubectl(&probe).await?.contains(ASKED), "it is not");
            Ok(())
        })
        .await
    }

    /// Runs a command in a shell, as a reader does. What it said, on both streams.
    async fn run(&self, command: &str) -> String {
        let here = root().canonicalize().unwrap();
        let programs =
            [here.join("tests/postgres/tutorial"), operator_binary().unwrap().parent().unwrap().to_owned()];
        let path = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths(programs.into_iter().chain(env::split_paths(&path))).unwrap();
        let database = format!("postgresql://app@127.0.0.1:{}/app", self.server.port());
        let mut shell = Command::new("bash");
        shell.args(["-euo", "pipefail", "-c", &format!("exec 2>&1\n{command}")]).current_dir(&here);
        shell.env("PATH", path).env("KUBECONFIG", &self.kubeconfig).env("DATABASE_URL", database);
        shell
            .env("KUBECTL", self.cluster.tools().program("kubectl"))
            .env("POD_LOGS", self.cluster.folder().path());
        shell.env("APP", place::example().canonicalize().unwrap()).env("PYTHON", place::python().unwrap());
        shell.stdin(Stdio::null()).kill_on_drop(true);
        let output = timeout(DEADLINE, shell.output()).await;
        let output = output.unwrap_or_else(|_| panic!("not within {DEADLINE:?}: {command}")).unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "$ {command}\n{said}{}", output.status);
        said
    }

    async fn play(&self, step: &Step) {
        let said = self.run(&step.command).await;
        println!("$ {}\n{said}", step.command);
        let shown = step.shown.join("\n");
        assert!(says(&step.shown, &said), "$ {}\nthe page shows\n{shown}\nand it said\n{said}", step.command);
        let refused = said.contains("503") || said.contains("no answer");
        assert!(self.settled.is_none() || !refused, "$ {}\n{said}", step.command);
    }

    async fn pods(&self, label: &str) -> Vec<Pod> {
        let pods: Api<Pod> = Api::namespaced(self.cluster.client().await.unwrap(), SHOP);
        pods.list(&ListParams::default().labels(label)).await.unwrap().items
    }

    /// What the server held, from this moment on.
    async fn held_since(&mut self, since: f64) -> Vec<u64> {
        let samples = self.count.samples().await.unwrap();
        samples.iter().filter(|sample| sample.at >= since).map(Sample::held).collect()
    }

    /// Without a budget: the server is full, and refuses.
    async fn judge_the_problem(&mut self) {
        assert!(self.server.refused().unwrap() > 0, "nothing was refused");
        assert_eq!(self.held_since(0.0).await.into_iter().max(), Some(LIMIT));
    }

    /// Only pods with a grant are left; from here on the promise holds.
    async fn judge_the_adoption(&mut self) {
        until(DEADLINE, "the last pod from before the budget is gone", async || {
            let pods = self.pods("app=shop").await;
            ensure!(pods.iter().all(|pod| connections(pod).is_some()), "{}", pods.len());
            Ok(())
        })
        .await
        .unwrap();
        self.settled = Some((clock::now(), self.server.refused().unwrap()));
    }

    /// The migration came through the gate, with the one connection that it opens.
    async fn judge_the_migration(&self) {
        let pods = self.pods("app=migrate").await;
        assert_eq!(pods.len(), 1, "{pods:?}");
        assert_eq!(connections(&pods[0]).as_deref(), Some("1"), "{pods:?}");
        assert_eq!(self.server.sql("select 1").await.unwrap().trim(), "1");
    }

    /// Since the adoption nobody was refused, and at no moment was more held than the budget allows.
    async fn judge_the_promise(&mut self) {
        let Some((since, refused)) = self.settled else { return };
        assert_eq!(self.server.refused().unwrap(), refused, "the server refused somebody");
        let held = self.held_since(since).await;
        let most = held.iter().max().copied().unwrap_or_default();
        assert!(most <= USABLE, "{most} of {USABLE} in {} samples", held.len());
        assert!(self.operator.is_running().unwrap());
        assert_eq!(self.kubelet.tally().faults, Vec::<String>::new());
        self.recorder.caught_up().await;
        let over = self.recorder.first_over();
        assert!(over.is_none(), "{over:?}");
        // The recorder expects variables in every pod; one of the profile Counted has none, only its bill.
        let counted =
            |fault: &String| fault.starts_with("pod shop/migrate-") && fault.contains("is not read from");
        let faults = self.recorder.faults().into_iter().filter(|fault| !counted(fault));
        assert_eq!(faults.collect::<Vec<String>>(), Vec::<String>::new());
    }
}

fn connections(pod: &Pod) -> Option<String> {
    pod.metadata.annotations.as_ref()?.get("poolbudget.dev/connections").cloned()
}

#[tokio::test]
async fn every_command_of_the_tutorial_does_what_the_page_shows() {
    let mut stage = Stage::open().await;
    for section in tutorial() {
        for block in &section.blocks {
            if let Block::Run(steps) = block {
                for step in steps {
                    stage.play(step).await;
                }
            }
        }
        match section.title.as_str() {
            title if title == JUDGED[0] => stage.judge_the_problem().await,
            title if title == JUDGED[1] => stage.judge_the_adoption().await,
            title if title == JUDGED[2] => stage.judge_the_migration().await,
            _ => {}
        }
        stage.judge_the_promise().await;
    }
    let (since, _) = stage.settled.expect("the page has the section Put it under the budget");
    let held = stage.held_since(since).await;
    assert!(held.len() > 200, "{} samples", held.len());
    assert!(held.into_iter().max() > Some(USABLE / 2), "too little load to show anything");
}

#[test]
fn what_the_tutorial_does_not_run_needs_an_image_or_a_database_of_the_reader() {
    let sections = tutorial();
    let blocks = || sections.iter().flat_map(|section| &section.blocks);
    let by_hand =
        blocks().filter_map(|block| if let Block::ByHand(steps) = block { Some(steps) } else { None });
    for step in by_hand.flatten() {
        let allowed = [
            "docker build ",
            "kind load ",
            "kubectl apply -f examples/fastapi/tutorial/postgres.yaml",
            "export ",
        ];
        assert!(
            step.command.contains("pod/postgres") || allowed.iter().any(|it| step.command.starts_with(it)),
            "{}",
            step.command
        );
    }
    for block in blocks() {
        let Block::File { path, text } = block else { continue };
        let file = fs::read_to_string(root().join(path)).unwrap();
        assert!(file.contains(text.as_str()), "{path} has not\n{text}");
    }
    assert!(blocks().any(|block| matches!(block, Block::File { .. })));
}

/// `before.yaml` is the Deployment without what poolbudget needs, and with a pool of its own.
#[test]
fn the_deployment_of_before_differs_in_nothing_but_its_pool_and_its_budget() {
    let deployment = |path: &str| -> Value {
        let text = fs::read_to_string(root().join("examples/fastapi").join(path)).unwrap();
        serde_yaml::from_str(&text).unwrap()
    };
    let (mut before, mut after) = (deployment("tutorial/before.yaml"), deployment("deploy/deployment.yaml"));
    let label = after["metadata"]["labels"].as_object_mut().unwrap().remove("poolbudget.dev/budget");
    assert_eq!(label, Some(json!("main")));
    assert_eq!(
        after["metadata"].as_object_mut().unwrap().remove("annotations").unwrap()["poolbudget.dev/processes"],
        "4"
    );
    let env = before["spec"]["template"]["spec"]["containers"][0]["env"].as_array_mut().unwrap();
    let pool: Vec<Value> = env.drain(..2).collect();
    let pool_of = |name: &str, value: &str| json!({"name": name, "value": value});
    assert_eq!(pool, [pool_of("DB_POOL_SIZE", "5"), pool_of("DB_MAX_OVERFLOW", "10")]);
    assert_eq!(before, after);
}
