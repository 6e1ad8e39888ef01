//! The commands for people, on a cluster in which there is something to tell: what they say is what is so.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::installed::{Installed, SETTLES, SHOP};
use crate::main_job::governed;
use crate::support::install::operator_binary;

/// How a command ended.
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    /// What it printed; it must have gone well.
    fn well(self) -> String {
        assert!(self.code == 0, "{}: {}{}", self.code, self.out, self.err);
        self.out
    }

    /// What it complained about; it must have failed.
    fn badly(self) -> String {
        assert!(self.code == 1, "{}: {}{}", self.code, self.out, self.err);
        self.err
    }
}

/// A command of the user who administers the cluster.
fn command(shop: &Installed, program: PathBuf, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).env_clear().env("KUBECONFIG", shop.cluster.kubeconfig());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn run(shop: &Installed, args: &[&str]) -> Said {
    let output = command(shop, operator_binary().unwrap(), args).output().await.unwrap();
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
WORKLOAD        REPLICAS  SLOTS  PER PROCESS  PER POD  HOLDS  WAITING
Deployment/api  2             3  2+2                4      8        -
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
}

async fn programs_can_read_it(shop: &Installed) {
    let one = run(shop, &["status", "main", "-n", SHOP, "-o", "json"]).await.well();
    let one: Value = serde_json::from_str(&one).unwrap();
    assert_eq!((&one["kind"], &one["status"]["usable"]), (&"DbConnectionBudget".into(), &13.into()));
    let all = run(shop, &["status", "-n", SHOP, "-o", "yaml"]).await.well();
    let all: Value = serde_yaml::from_str(&all).unwrap();
    assert_eq!(all["items"][0]["metadata"]["name"], "main");
}
