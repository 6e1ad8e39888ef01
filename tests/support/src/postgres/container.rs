//! One container of a pod: its process, what it reports, and its status.
//!
//! In: its name, and the process to start. Out: lines, and its entry in `containerStatuses`, as a kubelet writes it.

use std::process::ExitStatus;

use anyhow::Result;
use serde_json::{Value, json};

use super::lines::{Did, Follower, Line};
use super::probe::Probe;
use crate::process::{Process, Spec};

/// The exit code that a kubelet reports for a killed process.
const KILLED: i32 = 128 + libc::SIGKILL;

/// A container that was started.
#[derive(Debug)]
pub struct Running {
    name: String,
    spec: Spec,
    process: Process,
    lines: Follower<Line>,
    probe: Option<Probe>,
    ready: bool,
    /// How often it was restarted in its pod.
    restarts: u32,
    /// The exit code of the run that ended last.
    last: Option<i32>,
}

impl Running {
    /// Starts it.
    pub fn start(name: &str, spec: Spec, probe: Option<Probe>) -> Result<Self> {
        let process = Process::start(&spec)?;
        let lines = Follower::new(&spec.log);
        Ok(Self { name: name.to_owned(), spec, process, lines, probe, ready: false, restarts: 0, last: None })
    }

    /// Whether it has reported since its last start that it serves, or its probe has passed.
    pub fn ready(&self) -> bool {
        self.ready || self.probe.as_ref().is_some_and(Probe::passed)
    }

    /// What it has reported since the last call.
    pub fn news(&mut self) -> Result<Vec<Line>> {
        let lines = self.lines.news()?;
        self.ready |= lines.iter().any(|line| line.did == Did::Ready);
        Ok(lines)
    }

    /// An error if it has ended by itself.
    pub fn expect_running(&mut self) -> Result<()> {
        self.process.expect_running()
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> Result<bool> {
        Ok(self.process.ended()?.is_none())
    }

    /// SIGTERM.
    pub fn terminate(&mut self) -> Result<()> {
        self.process.terminate()
    }

    /// SIGKILL. It has ended when this returns.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        self.last = self.process.ended()?.map(code);
        self.ready = false;
        Ok(())
    }

    /// Restarts it unchanged, after it was killed.
    pub fn start_again(&mut self) -> Result<()> {
        self.process = Process::start(&self.spec)?;
        self.restarts += 1;
        Ok(())
    }

    /// Its entry in the pod's status: running, or terminated.
    pub fn status(&self, runs: bool, now: &str) -> Value {
        let terminated = |code: i32| {
            let reason = if code == 0 { "Completed" } else { "Error" };
            json!({"terminated": {"exitCode": code, "reason": reason, "startedAt": now, "finishedAt": now}})
        };
        let last = self.last.map(terminated);
        let (state, last) = match (runs, last) {
            (true, last) => (json!({"running": {"startedAt": now}}), last.unwrap_or_else(|| json!({}))),
            (false, last) => (last.unwrap_or_else(|| terminated(0)), json!({})),
        };
        json!({"name": self.name, "image": "app", "imageID": "", "restartCount": self.restarts,
               "ready": runs && self.ready(), "started": runs, "state": state, "lastState": last})
    }

    /// Whether its last run ended with success.
    pub fn ended_well(&self) -> bool {
        self.last.is_none_or(|code| code == 0)
    }
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or(KILLED)
}
