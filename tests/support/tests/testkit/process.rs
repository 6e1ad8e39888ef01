//! A process ends with the test runner that started it.

use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use testkit::eventually;
use testkit::folder::Folder;
use testkit::process::{Process, Spec};

const SOON: Duration = Duration::from_secs(30);

const ORPHAN: &str = "POOLBUDGET_TEST_MAKES_AN_ORPHAN";

/// Not a test by itself: the process that the next one kills.
#[test]
fn a_process_to_be_killed() {
    let Some(folder) = env::var_os(ORPHAN).map(PathBuf::from) else { return };
    let spec = Spec {
        name: "sleep".to_owned(),
        program: "/bin/sleep".into(),
        args: vec!["600".into()],
        env: [].into(),
        log: folder.join("log"),
    };
    let child = Process::start(&spec).unwrap();
    fs::write(folder.join("pid"), child.pid().to_string()).unwrap();
    process::abort();
}

#[tokio::test]
async fn nothing_survives_a_killed_test_runner() {
    let folder = Folder::create().unwrap();
    let mut runner = Command::new(env::current_exe().unwrap());
    runner.args(["--exact", "process::a_process_to_be_killed"]).env(ORPHAN, folder.path());
    let ended = runner.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(!ended.success());
    let pid = fs::read_to_string(folder.file("pid")).unwrap();
    eventually(SOON, "the child of the killed process is gone", async || {
        let there = Path::new("/proc").join(&pid).exists();
        if there { Err(format!("process {pid} runs")) } else { Ok(()) }
    })
    .await;
}
