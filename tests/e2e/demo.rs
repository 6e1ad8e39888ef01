//! The demo as `make demo` runs it, without a terminal. `make e2e` has built it.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long the whole of it may take on a busy machine.
const ENDS: Duration = Duration::from_secs(300);

fn demo() -> Child {
    let operator = Path::new(env!("CARGO_BIN_EXE_poolbudget"));
    let program = operator.with_file_name("examples").join("demo");
    assert!(program.exists(), "run `make e2e`: there is no {}", program.display());
    let mut command = Command::new(program);
    command.env("POOLBUDGET_BINARY", operator).env_remove("POOLBUDGET_KEEP");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.spawn().unwrap()
}

/// The folders of the demo's clusters, and the processes that run with them.
fn traces(demo: u32) -> Vec<String> {
    let prefix = format!("poolbudget-cluster-{demo}-");
    let folders = fs::read_dir(std::env::temp_dir()).unwrap();
    let folders = folders.map(|entry| entry.unwrap().file_name().display().to_string());
    let processes = fs::read_dir("/proc").unwrap();
    // A process may end while it is looked at.
    let lines = processes.filter_map(|entry| fs::read_to_string(entry.unwrap().path().join("cmdline")).ok());
    folders.chain(lines.map(|line| line.replace('\0', " "))).filter(|found| found.contains(&prefix)).collect()
}

#[tokio::test]
async fn without_a_terminal_the_demo_tells_its_story_and_ends_well() {
    let output = timeout(ENDS, demo().wait_with_output()).await.unwrap().unwrap();
    let [told, complained] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(output.status.success(), "{}\n{told}\n{complained}", output.status);
    for said in [
        "30 of 15 connections",
        "20 pods × 1 = 20 connections, 13 usable;",
        "13 of 13 connections",
        "Highest sum that the independent recorder ever saw: 13 of 13. Never over.",
        "First granted pod: ",
    ] {
        assert!(told.contains(said), "{said:?} is missing in\n{told}");
    }
    assert!(!told.contains('\x1b'), "escape sequences in\n{told}");
}

#[tokio::test]
async fn an_interrupted_demo_leaves_nothing_behind() {
    let mut demo = demo();
    let pid = demo.id().unwrap();
    let mut told = BufReader::new(demo.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("--replicas=6") {
        line.clear();
        let read = timeout(ENDS, told.read_line(&mut line)).await.unwrap().unwrap();
        assert!(read > 0, "it ended before it scaled: {:?}", demo.wait().await.unwrap());
    }
    assert!(!traces(pid).is_empty());
    let interrupted = Command::new("kill").args(["-INT", &pid.to_string()]).status().await.unwrap();
    assert!(interrupted.success());
    let status = timeout(ENDS, demo.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(130));
    let mut rest = String::new();
    told.read_to_string(&mut rest).await.unwrap();
    assert!(rest.ends_with("interrupted: everything is torn down\n"), "{rest}");
    assert_eq!(traces(pid), Vec::<String>::new());
}
