//! The same load on two sides at once: one without poolbudget, one with it.
//!
//! In: the way to the database. Out: what each side held and was refused. Both sides run each step at the same moment.
//! The next step comes when the governed side is complete and has worked; the other side gets the same time.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::Client;
use tokio::time::{Instant, sleep};

use super::apps::BUDGET;
use super::clock;
use super::kubelet::Kubelet;
use super::side::Side;
use super::told::{Glance, Mark, Told};
use super::way::Way;
use crate::install::chart;
use crate::{Cluster, Operator, Options, Recorder};

/// The namespace of the side without poolbudget.
pub const WITHOUT: &str = "without";
/// The namespace of the side with poolbudget.
pub const WITH: &str = "with";

/// How long a step may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(300);

/// Between two checks.
const TICK: Duration = Duration::from_millis(200);

/// Queries that every governed pod must answer in a step before the next one.
const WORK: u64 = 30;

/// A cluster with poolbudget in it, whose pods are processes, and the two sides.
pub struct Story {
    // Fields are dropped in this order: the applications first, then what they use.
    kubelet: Kubelet,
    without: Side,
    with: Side,
    operator: Operator,
    recorder: Recorder,
    recording_since: f64,
    client: Client,
    cluster: Cluster,
    way: &'static Way,
}

impl Story {
    /// Starts everything except the applications.
    pub async fn open(way: &'static Way) -> Result<Self> {
        let cluster = Cluster::start(Options::default()).await?;
        let client = cluster.client().await?;
        let recording_since = clock::now();
        let recorder = Recorder::start(&cluster).await?;
        recorder.limit(WITH, BUDGET, way.allowed() - way.reserved);
        cluster.install_chart(&chart()).await?;
        let operator = cluster.start_replica("poolbudget-0").await?;
        let without = Side::open(&cluster, WITHOUT, way, false).await?;
        let with = Side::open(&cluster, WITH, way, true).await?;
        let kubelet = Kubelet::start(&cluster)?;
        Ok(Self { kubelet, without, with, operator, recorder, recording_since, client, cluster, way })
    }

    /// Runs all steps, and shows the progress.
    pub async fn tell(&mut self, mut show: impl FnMut(&Mark, Glance) -> Result<()>) -> Result<Told> {
        let began = clock::now();
        let mut marks = Vec::new();
        for step in self.way.steps {
            let mark = Mark { step, at: clock::now() };
            marks.push(mark);
            for command in step.commands {
                self.without.kubectl(&self.cluster, command).await?;
                self.with.kubectl(&self.cluster, command).await?;
            }
            self.see_through(&mark, began, &mut show).await.with_context(|| step.title)?;
        }
        let ended = clock::now();
        Ok(Told {
            way: self.way,
            span: (began, ended),
            marks,
            without: self.without.outcome(&self.client, &self.kubelet).await?,
            with: self.with.outcome(&self.client, &self.kubelet).await?,
            granted: self.granted(),
            faults: self.faults().await,
        })
    }

    /// Until the governed side has what the step asks for, and all its pods have worked since.
    async fn see_through(
        &mut self,
        mark: &Mark,
        began: f64,
        show: &mut impl FnMut(&Mark, Glance) -> Result<()>,
    ) -> Result<()> {
        let end = Instant::now() + DEADLINE;
        let mut complete = None;
        loop {
            ensure!(self.operator.is_running()?, "the operator has ended");
            let faults = self.kubelet.tally().faults.clone();
            ensure!(faults.is_empty(), "the kubelet: {faults:?}");
            let missing = match &complete {
                None => match self.with.complete(&self.client, mark.step.replicas).await {
                    Ok(()) => {
                        complete = Some(self.queries());
                        continue;
                    }
                    Err(missing) => missing,
                },
                Some(before) => match self.worked_since(before) {
                    Ok(()) => return Ok(()),
                    Err(missing) => missing,
                },
            };
            if Instant::now() >= end {
                return Err(missing.context(format!("not within {DEADLINE:?}")));
            }
            show(mark, self.glance(began).await?)?;
            sleep(TICK).await;
        }
    }

    /// Answered queries of each governed pod that serves.
    fn queries(&self) -> BTreeMap<String, u64> {
        let lives = self.kubelet.tally().of(WITH);
        lives.into_iter().filter(|life| life.serves()).map(|life| (life.name, life.queries)).collect()
    }

    fn worked_since(&self, before: &BTreeMap<String, u64>) -> Result<()> {
        let now = self.queries();
        for (pod, before) in before {
            let done = now.get(pod).copied().unwrap_or_default().saturating_sub(*before);
            ensure!(done >= WORK, "pod {pod} answered {done} queries of {WORK}");
        }
        Ok(())
    }

    async fn glance(&mut self, began: f64) -> Result<Glance> {
        Ok(Glance {
            at: clock::now() - began,
            without: (self.without.held().await?, self.without.refused()?),
            with: (self.with.held().await?, self.with.refused()?),
        })
    }

    fn granted(&self) -> Vec<(f64, u64)> {
        let changes = self.recorder.timeline(WITH, BUDGET);
        let at = |after: Duration| self.recording_since + after.as_secs_f64();
        changes.iter().map(|change| (at(change.at), change.totals.connections)).collect()
    }

    async fn faults(&self) -> Vec<String> {
        self.recorder.caught_up().await;
        let over = self.recorder.first_over().map(|over| format!("{over:?}"));
        let kubelet = self.kubelet.tally().faults.clone();
        let lives = [WITHOUT, WITH].into_iter().flat_map(|side| self.kubelet.tally().of(side));
        let killed =
            lives.filter(|life| life.killed).map(|life| format!("pod {} had to be killed", life.name));
        over.into_iter().chain(self.recorder.faults()).chain(kubelet).chain(killed).collect()
    }
}
