//! The commands for people, on a cluster in which there is something to tell: what they say is what is so.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use testkit::eventually;
use testkit::install::operator_binary;
use testkit::objects::pod;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::installed::{Installed, SETTLES, SHOP};
use crate::main_job::governed;

/// How a command ended.
pub(crate) struct Said {
    code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// What it printed; it must have gone well.
    pub(crate) fn well(self) -> String {
        assert!(self.code == 0, "{}: {}{}", self.code, self.out, self.err);
        self.out
    }

    /// What it complained about; it must have failed.
    pub(crate) fn badly(self) -> String {
        assert!(self.code == 1, "{}: {}{}", self.code, self.out, self.err);
        self.err
    }
}

/// A command of the user who administers the cluster.
fn command(shop: &Installed, program: PathBuf, args: &[&str]) -> Command {
    command_as(shop.cluster.kubeconfig(), program, args)
}

fn command_as(kubeconfig: &Path, program: PathBuf, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).env_clear().env("KUBECONFIG", kubeconfig);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

pub(crate) async fn run(shop: &Installed, args: &[&str]) -> Said {
    run_as(shop.cluster.kubeconfig(), args).await
}

pub(crate) async fn run_as(kubeconfig: &Path, args: &[&str]) -> Said {
    let output = command_as(kubeconfig, operator_binary().unwrap(), args).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

#[tokio::test]
async fn commands_tell_what_is_so_and_errors_what_to_do() {
    let shop = Installed::start().await;
    nothing_is_there_yet(&shop).await;
    shop.nano_budget().await;
    shop.apply(&governed("api", 2).to_string()).await;
    shop.settles(&[("api", 2)]).await;
    a_settled_budget_is_drawn_and_nothing_more_is_said(&shop).await;
    kubectl_runs_it_as_a_plugin(&shop).await;
    a_watch_goes_on_until_it_is_told_to_end(&shop).await;
    programs_can_read_it(&shop).await;
    who_may_view_a_namespace_may_ask_in_it(&shop).await;
    granted_pods_and_their_workload_are_explained(&shop).await;
    pods_that_wait_are_explained(&shop).await;
    pods_outside_of_any_budget_are_explained(&shop).await;
}

/// What `explain` says, in one line.
async fn explained(shop: &Installed, target: &str) -> String {
    let said = run(shop, &["explain", target, "-n", SHOP]).await.well();
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The pods that these arguments of `kubectl get pods` find.
async fn pods(shop: &Installed, args: &[&str]) -> Vec<String> {
    let names =
        shop.kubectl(&[&["get", "pods", "-o", "jsonpath={.items[*].metadata.name}"], args].concat()).await;
    names.split_whitespace().map(ToOwned::to_owned).collect()
}

async fn who_may_view_a_namespace_may_ask_in_it(shop: &Installed) {
    shop.kubectl(&["create", "serviceaccount", "reader"]).await;
    let reader = shop.cluster.account_kubeconfig(SHOP, "reader").await.unwrap();
    let refused = run_as(&reader, &["status", "-n", SHOP]).await.badly();
    assert!(refused.contains("the ClusterRole view, bound to you in that namespace, is enough"), "{refused}");
    shop.kubectl(&["create", "rolebinding", "reader", "--clusterrole=view", "--serviceaccount=shop:reader"])
        .await;
    // RBAC is followed by a watch.
    eventually(SETTLES, "the reader may read", async || {
        let said = run_as(&reader, &["status", "main", "-n", SHOP]).await;
        if said.out == SETTLED { Ok(()) } else { Err(said.out + &said.err) }
    })
    .await;
    let told = run_as(&reader, &["explain", "deploy/api", "-n", SHOP]).await.well();
    assert!(told.contains("governed    2 replicas, 2 with a grant"), "{told}");
}

async fn granted_pods_and_their_workload_are_explained(shop: &Installed) {
    let api = pods(shop, &["-l", "app=api"]).await;
    let told = explained(shop, &api[0]).await;
    let start = format!(
        "Pod/{} in namespace shop granted 4 connections budget main: 15 connections (supabase",
        api[0]
    );
    assert!(told.starts_with(&start), "{told}");
    assert!(
        told.contains("size 2 + 2 = 4 connections share that is what a pod of its workload gets now"),
        "{told}"
    );
    let told = explained(shop, "api").await;
    assert!(api.iter().all(|pod| told.contains(&format!("{pod} granted 4"))), "{told}");
}

async fn pods_that_wait_are_explained(shop: &Installed) {
    shop.scale("api", 20).await;
    shop.awaits("Settled", "False", "Infeasible").await;
    let waiting = pods(shop, &["-l", "app=api", "--field-selector", "spec.nodeName="]).await;
    let told = explained(shop, &format!("pod/{}", waiting[0])).await;
    assert!(told.contains("waits budget main has room for 13 pods of this workload"), "{told}");
    assert!(told.contains("20 pods × 1 = 20 connections, 13 usable; largest safe replicas: 13"), "{told}");
    let status = run(shop, &["status", "main", "-n", SHOP]).await.well();
    assert!(
        status.contains("\nFeasible    Deployment/api: 20 pods × 1 = 20 connections, 13 usable"),
        "{status}"
    );
    shop.scale("api", 2).await;
    shop.settles(&[("api", 2)]).await;
    // A full budget, and no leave to send anybody away.
    shop.kubectl(&[
        "patch",
        "dbcb",
        "main",
        "--type=merge",
        "-p",
        r#"{"spec": {"evictionPolicy": "Forbidden"}}"#,
    ])
    .await;
    shop.kubectl(&["rollout", "restart", "deployment/api"]).await;
    shop.settles(&[("api", 2)]).await;
    shop.apply(&governed("web", 3).recreate().to_string()).await;
    shop.awaits("Blocked", "True", "EvictionForbidden").await;
    let waiting = pods(shop, &["-l", "app=web", "--field-selector", "spec.nodeName="]).await;
    let told = explained(shop, &waiting[waiting.len() - 1]).await;
    assert!(told.contains(" missing: "), "{told}");
    assert!(told.contains(" committed + ") && told.contains(", of 13 usable turn "), "{told}");
    assert!(told.contains("next evictionPolicy is Forbidden, so it waits"), "{told}");
    shop.kubectl(&["delete", "deployment", "web"]).await;
    shop.settles(&[("api", 2)]).await;
}

async fn pods_outside_of_any_budget_are_explained(shop: &Installed) {
    shop.apply(&pod(SHOP, "free").to_string()).await;
    let told = explained(shop, "free").await;
    assert!(told.contains("not governed it has no label poolbudget.dev/budget"), "{told}");
    let missing = run(shop, &["explain", "nobody", "-n", SHOP]).await.badly();
    assert!(missing.contains("namespace shop has no pod or workload nobody"), "{missing}");
    shop.apply(&governed("lost", 1).label("poolbudget.dev/budget", "gone").to_string()).await;
    let lost = eventually(SETTLES, "a pod of the lost Deployment", async || {
        pods(shop, &["-l", "app=lost"]).await.pop().ok_or_else(|| "none".to_owned())
    })
    .await;
    let told = explained(shop, &lost).await;
    assert!(
        told.contains("waits its label poolbudget.dev/budget names the DbConnectionBudget gone"),
        "{told}"
    );
    // What a kubelet runs from a file is never held at the gate.
    let mut escaped: Value =
        serde_json::from_str(&pod(SHOP, "escaped").label("poolbudget.dev/budget", "main").to_string())
            .unwrap();
    escaped["spec"]["nodeName"] = "node-0".into();
    escaped["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "1"});
    let uid = ["get", "node", "node-0", "-o", "jsonpath={.metadata.uid}"];
    let uid = shop.cluster.kubectl(&uid).await.unwrap();
    escaped["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "Node", "name": "node-0", "uid": uid, "controller": true}]);
    let file = shop.cluster.folder().file("escaped.json");
    std::fs::write(&file, escaped.to_string()).unwrap();
    let as_its_node = ["--as=system:node:node-0", "--as-group=system:nodes", "--as-group=system:masters"];
    let create = ["create", "-f", file.to_str().unwrap()];
    shop.cluster.kubectl(&[&create[..], &as_its_node].concat()).await.unwrap();
    let told = explained(shop, "escaped").await;
    assert!(told.contains("foreign it runs without a grant and may hold 15 connections"), "{told}");
}

async fn nothing_is_there_yet(shop: &Installed) {
    assert_eq!(run(shop, &["status", "-n", SHOP]).await.well(), "no DbConnectionBudget in namespace shop\n");
    let missing = run(shop, &["status", "main", "-n", SHOP]).await.badly();
    assert!(
        missing.contains("namespace shop has no DbConnectionBudget main; there is none at all"),
        "{missing}"
    );
    let context = run(shop, &["status", "--context", "elsewhere"]).await.badly();
    assert!(context.contains("cannot use the context elsewhere"), "{context}");
}

const SETTLED: &str = "\
main   supabase Nano, session mode: pool size 15 (table of 2026-11-21)   reserved 2   usable 13
███████████████████████████░░░░░░░░░░░░░░░░░  8 of 13
WORKLOAD        REPLICAS  SLOTS            PER PROCESS  PER POD  HOLDS  WAITING
Deployment/api  2         3 (2 + 1 surge)  2+2                4      8        -
";

async fn a_settled_budget_is_drawn_and_nothing_more_is_said(shop: &Installed) {
    assert_eq!(run(shop, &["status", "main", "-n", SHOP]).await.well(), SETTLED);
    assert_eq!(run(shop, &["status", "-A"]).await.well(), SETTLED.replacen("main", "shop/main", 1));
    let coloured = run(shop, &["status", "main", "-n", SHOP, "--color", "always"]).await.well();
    assert!(coloured.starts_with("\u{1b}[1mmain\u{1b}[0m   supabase"), "{coloured}");
}

async fn kubectl_runs_it_as_a_plugin(shop: &Installed) {
    let bin = shop.cluster.folder().file("bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::os::unix::fs::symlink(operator_binary().unwrap(), bin.join("kubectl-poolbudget")).unwrap();
    let kubectl = async |args: &[&str]| {
        let mut kubectl = command(shop, shop.cluster.tools().program("kubectl"), args);
        kubectl.env("PATH", &bin).env("HOME", shop.cluster.folder().path());
        String::from_utf8(kubectl.output().await.unwrap().stdout).unwrap()
    };
    assert_eq!(kubectl(&["poolbudget", "status", "main", "-n", SHOP]).await, SETTLED);
    let help = kubectl(&["poolbudget", "status", "--help"]).await;
    assert!(help.contains("Usage: kubectl poolbudget status"), "{help}");
}

/// A `status --watch` that is read from a pipe.
struct Watch {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watch {
    fn start(shop: &Installed) -> Self {
        let args = ["status", "main", "-n", SHOP, "--watch"];
        let mut child = command(shop, operator_binary().unwrap(), &args).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    async fn until(&mut self, part: &str) {
        let found = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                if line.contains(part) {
                    return;
                }
            }
            panic!("it ended before it showed {part:?}");
        };
        tokio::time::timeout(SETTLES, found).await.unwrap_or_else(|_| panic!("it never showed {part:?}"));
    }
}

async fn a_watch_goes_on_until_it_is_told_to_end(shop: &Installed) {
    let mut watch = Watch::start(shop);
    watch.until("8 of 13").await;
    shop.scale("api", 3).await;
    watch.until("Deployment/api  3 ").await;
    shop.settles(&[("api", 3)]).await;
    let id = watch.child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let ended = tokio::time::timeout(SETTLES, watch.child.wait()).await.unwrap().unwrap();
    assert!(ended.success(), "{ended}");

    // Nobody reads on: that is noticed with the next change.
    let mut watch = Watch::start(shop);
    watch.until("of 13").await;
    drop(watch.lines);
    shop.scale("api", 2).await;
    let ended = tokio::time::timeout(SETTLES, watch.child.wait()).await.unwrap().unwrap();
    assert!(ended.success(), "{ended}");
    shop.settles(&[("api", 2)]).await;
    // Which of three Ready pods its controller took away is not said; from here on both are of the same size.
    shop.kubectl(&["rollout", "restart", "deployment/api"]).await;
    shop.settles(&[("api", 2)]).await;
}

async fn programs_can_read_it(shop: &Installed) {
    let one = run(shop, &["status", "main", "-n", SHOP, "-o", "json"]).await.well();
    let one: Value = serde_json::from_str(&one).unwrap();
    assert_eq!((&one["kind"], &one["status"]["usable"]), (&"DbConnectionBudget".into(), &13.into()));
    let all = run(shop, &["status", "-n", SHOP, "-o", "yaml"]).await.well();
    let all: Value = serde_yaml::from_str(&all).unwrap();
    assert_eq!(all["items"][0]["metadata"]["name"], "main");
}
