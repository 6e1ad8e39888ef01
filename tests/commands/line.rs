//! The command line itself: what is wrong with it, what it completes, under which name it was called.

use std::io::Write;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use crate::ran::poolbudget;

#[test]
fn a_command_that_is_none_is_answered_with_the_one_that_was_meant() {
    let ran = poolbudget(&["statsu"], "");
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.err.contains("'status'"), "{ran:?}");
}

#[test]
fn a_target_that_is_none_is_refused_before_any_cluster_is_asked() {
    let ran = poolbudget(&["explain", "node/a", "--kubeconfig", "/nowhere"], "");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(
        ran.err,
        "poolbudget: \"node/a\" is not a pod or a workload: write NAME, pod/NAME, or a workload such as deployment/NAME\n"
    );
}

#[test]
fn a_kubeconfig_that_cannot_be_used_is_named() {
    for command in [&["status"][..], &["explain", "api"]] {
        let ran = poolbudget(&[command, &["--kubeconfig", "/nowhere"]].concat(), "");
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.err.starts_with("poolbudget: cannot use the kubeconfig /nowhere: "), "{ran:?}");
    }
}

#[test]
fn flags_that_contradict_each_other_are_refused() {
    for flags in [&["status", "main", "-A"][..], &["status", "-w", "-o", "json"], &["explain"]] {
        let ran = poolbudget(flags, "");
        assert_eq!(ran.code, 2, "{ran:?}");
    }
}

#[test]
fn every_command_has_examples() {
    for command in ["status", "explain", "forget", "grant-secret", "plan", "inject", "governor", "completion"]
    {
        let ran = poolbudget(&[command, "--help"], "");
        assert!(ran.code == 0 && ran.out.contains("\nExamples:\n  "), "{ran:?}");
    }
}

#[test]
fn completions_are_scripts_that_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ran = poolbudget(&["completion", shell], "");
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(["status", "explain", "plan"].iter().all(|command| ran.out.contains(command)), "{shell}");
    }
    let script = poolbudget(&["completion", "bash"], "").out;
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
    bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(bash.wait().unwrap().success());
}

#[test]
fn a_plugin_of_kubectl_speaks_of_itself_as_its_user_does() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("kubectl-poolbudget");
    symlink(env!("CARGO_BIN_EXE_poolbudget"), &link).unwrap();
    let said = Command::new(&link).args(["explain", "--help"]).output().unwrap();
    let help = String::from_utf8(said.stdout).unwrap();
    assert!(help.contains("Usage: kubectl poolbudget explain "), "{help}");
    assert!(help.contains("\n  kubectl poolbudget explain deploy/api -n shop"), "{help}");
}

#[test]
fn a_governor_refuses_what_it_cannot_stand_for() {
    let governor = |more: &[&str]| poolbudget(&[&["governor", "--pod-uid", "1"], more].concat(), "");
    for (database, why) in [
        ("10.0.0.7:5432", "a host alias cannot stand for it"),
        ("[fd00::7]:5432", "a host alias cannot stand for it"),
        ("localhost:5432", "localhost is the pod itself"),
        ("db", "write HOST:PORT"),
    ] {
        let ran = governor(&["--database", database]);
        assert!(ran.code == 2 && ran.err.contains(why), "{ran:?}");
    }
    let ran = governor(&["--database", "db:1,db:1"]);
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (1, "poolbudget: the database db:1 is named twice: name it once\n")
    );
    assert_eq!(governor(&[]).code, 2);
    assert_eq!(governor(&["--database", "db:1", "--queue-timeout", "30"]).code, 2);
}
