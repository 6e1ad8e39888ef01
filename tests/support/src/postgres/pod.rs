//! The life of one pod: started, Ready, crashed, told to end, ended, gone.
//!
//! In: a pod that is bound to a node, and the signal that it should end. Out: its processes, its status, its lines.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Container, Pod, Secret};
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::clock;
use super::container::Running;
use super::env::{Secrets, named_secrets, variables, words};
use super::place;
use super::probe::Probe;
use super::tally::{Life, Tally};
use super::until::until;
use crate::process::Spec;

/// Between two looks at the processes of a pod.
const TICK: Duration = Duration::from_millis(20);

/// How long the API server may be down, or too busy to answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// What all pods of a kubelet share.
#[derive(Debug, Clone)]
pub struct Host {
    /// Where their programs are.
    pub path: PathBuf,
    /// Where their output goes.
    pub logs: PathBuf,
    /// The second and third byte of the pods' addresses.
    pub network: [u8; 2],
    /// What they report.
    pub tally: Arc<Mutex<Tally>>,
    /// The uids of pods whose containers should be killed and restarted.
    pub crashes: Arc<Mutex<BTreeSet<String>>>,
}

impl Host {
    /// Records that something went wrong.
    pub fn fault(&self, fault: String) {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).faults.push(fault);
    }

    /// Whether a pod should crash, once per request.
    fn crashes(&self, uid: &str) -> bool {
        self.crashes.lock().unwrap_or_else(PoisonError::into_inner).remove(uid)
    }
}

/// Runs one pod.
#[derive(Debug)]
pub struct Runner {
    api: Api<Pod>,
    secrets: Api<Secret>,
    host: Host,
    pod: Pod,
    name: String,
    uid: String,
    address: String,
    end: CancellationToken,
    running: Vec<Running>,
}

impl Runner {
    /// Starts nothing yet. `number` is the last byte of its address.
    pub fn new(client: Client, host: Host, number: usize, mut pod: Pod, end: CancellationToken) -> Self {
        let name = pod.metadata.name.clone().unwrap_or_default();
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        let api = Api::namespaced(client.clone(), &namespace);
        let secrets = Api::namespaced(client, &namespace);
        let [second, third] = host.network;
        let address = format!("127.{second}.{third}.{number}");
        pod.status.get_or_insert_default().pod_ip = Some(address.clone());
        Self { api, secrets, host, pod, name, uid, address, end, running: Vec::new() }
    }

    /// From its start until its object is gone.
    pub async fn run(mut self) {
        if let Err(error) = self.live().await {
            self.host.fault(format!("pod {}: {error:#}", self.name));
        }
    }

    async fn live(&mut self) -> Result<()> {
        if !self.end.is_cancelled() {
            self.start().await.context("start")?;
            self.tell("Running").await?;
            self.serve().await?;
            if self.end.is_cancelled() {
                self.linger().await?;
            }
            self.stop().await?;
            let well = self.running.iter().all(Running::ended_well);
            self.tell(if well { "Succeeded" } else { "Failed" }).await?;
            // A pod that has ended by itself stays until somebody deletes it.
            self.end.cancelled().await;
        }
        self.remove().await
    }

    async fn start(&mut self) -> Result<()> {
        let secrets = self.secrets().await?;
        let containers = self.pod.spec.as_ref().map(|spec| spec.containers.clone()).unwrap_or_default();
        for (place, container) in containers.iter().enumerate() {
            let env = variables(&self.pod, container, &secrets)?;
            if place == 0 {
                self.enter(&env);
            }
            self.running.push(self.start_container(container, env)?);
        }
        Ok(())
    }

    /// The Secrets that its variables name.
    async fn secrets(&self) -> Result<Secrets> {
        let mut secrets = Secrets::new();
        for name in named_secrets(&self.pod) {
            let data = self.secrets.get(&name).await.with_context(|| format!("read Secret {name}"))?.data;
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            let values = data.into_iter().flatten().map(|(key, value)| (key, text(value.0)));
            secrets.insert(name, values.collect());
        }
        Ok(secrets)
    }

    /// Opens its entry in the tally.
    fn enter(&self, env: &BTreeMap<String, String>) {
        let of = |name: &str| env.get(name).cloned().unwrap_or_default();
        let life = Life {
            namespace: self.pod.metadata.namespace.clone().unwrap_or_default(),
            name: self.name.clone(),
            size: (of("DB_POOL_SIZE"), of("DB_MAX_OVERFLOW")),
            ..Life::default()
        };
        self.tally(|tally| tally.lives.insert(self.uid.clone(), life));
    }

    fn start_container(&self, container: &Container, env: BTreeMap<String, String>) -> Result<Running> {
        let command = words(container, &env);
        let (program, args) = command.split_first().context("the container has no command")?;
        let log = self.host.logs.join(format!("pod-{}-{}.log", self.name, container.name));
        let folder = place::image(container.image.as_deref().unwrap_or_default());
        let mut all: BTreeMap<String, OsString> =
            env.into_iter().map(|(name, value)| (name, value.into())).collect();
        all.insert("PATH".to_owned(), self.host.path.clone().into());
        all.insert("HOSTNAME".to_owned(), self.name.clone().into());
        all.insert("PYTHONDONTWRITEBYTECODE".to_owned(), "1".into());
        all.insert("PYTHONPATH".to_owned(), folder.clone().into());
        // An image has its own working folder. And a pod has its own network: what listens on all of its addresses there
        // listens on the pod's address here.
        let of_pod = |word: &String| word.replace("0.0.0.0", &self.address).into();
        let words = ["-C".into(), folder.into(), self.host.path.join(program).into()].into_iter();
        let spec = Spec {
            name: format!("{} of pod {}", container.name, self.name),
            program: "/usr/bin/env".into(),
            args: words.chain(args.iter().map(of_pod)).collect(),
            env: all,
            log,
        };
        Running::start(&container.name, spec, Probe::start(container, &self.address)?)
    }

    /// Until it is told to end, or has ended by itself and may.
    async fn serve(&mut self) -> Result<()> {
        let mut ready = false;
        while !self.end.is_cancelled() {
            self.listen()?;
            if self.host.crashes(&self.uid) {
                self.crash().await?;
                ready = false;
            }
            if self.may_end() {
                if !self.any_runs()? {
                    break;
                }
            } else {
                for container in &mut self.running {
                    // A kubelet would restart it; none of these applications ends by itself.
                    container.expect_running()?;
                }
            }
            if !ready && self.running.iter().all(Running::ready) {
                ready = true;
                self.life(|life| life.ready = life.ready.or_else(|| Some(clock::now())));
                self.tell("Running").await?;
            }
            sleep(TICK).await;
        }
        Ok(())
    }

    /// Kills all its containers and restarts them in it: a kubelet reports both.
    async fn crash(&mut self) -> Result<()> {
        for container in &mut self.running {
            container.kill()?;
        }
        self.listen()?;
        self.tell_of(&self.status("Running", false)?).await?;
        for container in &mut self.running {
            container.start_again()?;
        }
        self.tell("Running").await
    }

    /// The time of `lifecycle.preStop.sleep`: the pod keeps working.
    async fn linger(&mut self) -> Result<()> {
        let until = Instant::now() + self.pre_stop();
        while Instant::now() < until {
            self.listen()?;
            sleep(TICK).await;
        }
        Ok(())
    }

    /// SIGTERM, and SIGKILL when the grace period is over.
    async fn stop(&mut self) -> Result<()> {
        let grace = self.pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
        let until = Instant::now() + Duration::from_secs(grace.unwrap_or(30).unsigned_abs());
        for container in &mut self.running {
            container.terminate()?;
        }
        while self.any_runs()? && Instant::now() < until {
            self.listen()?;
            sleep(TICK).await;
        }
        let killed = self.any_runs()?;
        for container in &mut self.running {
            container.kill()?;
        }
        self.listen()?;
        self.life(|life| (life.ended, life.killed) = (Some(clock::now()), killed));
        Ok(())
    }

    /// Reads what the containers have reported since the last call.
    fn listen(&mut self) -> Result<()> {
        let mut news = Vec::new();
        for container in &mut self.running {
            news.extend(container.news()?);
        }
        self.life(|life| news.into_iter().for_each(|line| life.take(line)));
        Ok(())
    }

    /// Whether its containers are not restarted when they end: a pod of a Job.
    fn may_end(&self) -> bool {
        self.pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()) == Some("Never")
    }

    fn any_runs(&mut self) -> Result<bool> {
        for container in &mut self.running {
            if container.runs()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn pre_stop(&self) -> Duration {
        let containers = self.pod.spec.iter().flat_map(|spec| &spec.containers);
        let seconds = containers.filter_map(|container| {
            Some(container.lifecycle.as_ref()?.pre_stop.as_ref()?.sleep.as_ref()?.seconds)
        });
        Duration::from_secs(seconds.max().unwrap_or(0).unsigned_abs())
    }

    /// Writes the pod's status.
    async fn tell(&self, phase: &str) -> Result<()> {
        self.tell_of(&self.status(phase, phase == "Running")?).await
    }

    async fn tell_of(&self, status: &Value) -> Result<()> {
        let patch = Patch::Merge(json!({"metadata": {"uid": self.uid}, "status": status}));
        until(PATIENCE, "its status is told", async || {
            done(self.api.patch_status(&self.name, &PatchParams::default(), &patch).await)
        })
        .await
    }

    /// Its status in a phase in which its containers run, or have ended.
    fn status(&self, phase: &str, runs: bool) -> Result<Value> {
        let now = OffsetDateTime::now_utc().replace_nanosecond(0)?.format(&Rfc3339)?;
        let all_ready = runs && self.running.iter().all(Running::ready);
        let containers = self.running.iter().map(|container| container.status(runs, &now));
        let condition = |kind: &str, holds: bool| {
            let status = if holds { "True" } else { "False" };
            let reason = match phase {
                "Succeeded" if kind != "PodScheduled" => Some("PodCompleted"),
                "Failed" if kind != "PodScheduled" => Some("PodFailed"),
                _ => None,
            };
            json!({"type": kind, "status": status, "reason": reason, "lastTransitionTime": now})
        };
        Ok(json!({
            "phase": phase,
            "podIP": self.pod.status.as_ref().and_then(|status| status.pod_ip.as_ref()),
            "conditions": [
                condition("PodScheduled", true),
                condition("Initialized", true),
                condition("ContainersReady", all_ready),
                condition("Ready", all_ready),
            ],
            "containerStatuses": containers.collect::<Vec<Value>>(),
        }))
    }

    /// Lets the object go: no process of the pod runs any longer.
    async fn remove(&self) -> Result<()> {
        let preconditions = Preconditions { uid: Some(self.uid.clone()), resource_version: None };
        let params = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(preconditions),
            ..DeleteParams::default()
        };
        until(PATIENCE, "its object is gone", async || done(self.api.delete(&self.name, &params).await)).await
    }

    fn life(&self, change: impl FnOnce(&mut Life)) {
        self.tally(|tally| tally.lives.get_mut(&self.uid).map(change));
    }

    fn tally<T>(&self, change: impl FnOnce(&mut Tally) -> T) -> T {
        change(&mut self.host.tally.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A pod that was force-deleted needs nothing more from its kubelet.
fn done<T>(answer: kube::Result<T>) -> Result<()> {
    match answer {
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        answer => answer.map(|_| ()).context("write to the API server"),
    }
}
