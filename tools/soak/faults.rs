//! What is killed, taken away and replaced under the fleet.
//!
//! In: a cluster with poolbudget in it, chance. Out: faults, one after the other; each ends with everything back in its
//! place, so that the next one meets a whole control plane. A fault that cannot be undone is an error.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use testkit::install::{RELEASE, SYSTEM, chart, operator_binary};
use testkit::random::Random;
use testkit::{Cluster, Operator};
use tokio::time::{sleep, timeout};

use super::patience::patiently;
use super::recorder::Recorder;

/// How long a replica may take to end by itself: the chart's grace period.
const ENDS: Duration = Duration::from_secs(30);

/// How long a SIGKILL waits for a grant to fall into.
const OPPORTUNITY: Duration = Duration::from_secs(3);

const REPLICAS: usize = 2;

/// One kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// SIGKILL for the leader, which stays away for a while: another replica takes over.
    LeaderDies,
    /// SIGKILL for the leader, which is back at once.
    LeaderRestarts,
    /// SIGKILL for every replica.
    AllReplicasDie,
    /// SIGKILL for the API server.
    ApiServerDies,
    /// SIGKILL for etcd.
    StoreDies,
    /// SIGKILL for the controller manager.
    ControllerManagerDies,
    /// The policies that gate pods are out of force for a while.
    PoliciesGo,
    /// `helm upgrade`; new replicas come, the old ones are asked to end.
    Upgrade,
}

/// Each of them.
const DECK: [Fault; 8] = [
    Fault::LeaderDies,
    Fault::LeaderRestarts,
    Fault::AllReplicasDie,
    Fault::ApiServerDies,
    Fault::StoreDies,
    Fault::ControllerManagerDies,
    Fault::PoliciesGo,
    Fault::Upgrade,
];

impl Fault {
    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LeaderDies => "leader SIGKILLed, away for a while",
            Self::LeaderRestarts => "leader SIGKILLed, back at once",
            Self::AllReplicasDie => "all replicas SIGKILLed",
            Self::ApiServerDies => "API server SIGKILLed",
            Self::StoreDies => "etcd SIGKILLed",
            Self::ControllerManagerDies => "controller manager SIGKILLed",
            Self::PoliciesGo => "gate and mirror policies gone",
            Self::Upgrade => "operator upgraded",
        }
    }
}

/// Faults in an order of chance, none of them forgotten.
#[derive(Debug)]
pub struct Deck {
    chance: Random,
    cards: Vec<Fault>,
}

impl Deck {
    /// All faults, and those again.
    pub const fn new(chance: Random) -> Self {
        Self { chance, cards: Vec::new() }
    }

    /// The next fault and how long it lasts.
    pub fn draw(&mut self) -> (Fault, Duration) {
        if self.cards.is_empty() {
            self.cards = DECK.to_vec();
            self.chance.shuffle(&mut self.cards);
        }
        let fault = self.cards.pop().unwrap_or(Fault::LeaderRestarts);
        let milliseconds = match fault {
            Fault::LeaderDies => self.chance.between(500, 20_000),
            Fault::LeaderRestarts | Fault::Upgrade => 0,
            Fault::PoliciesGo => self.chance.between(3_000, 10_000),
            _ => self.chance.between(100, 6_000),
        };
        (fault, Duration::from_millis(u64::from(milliseconds)))
    }

    /// Until the next one.
    pub fn pause(&mut self) -> Duration {
        Duration::from_millis(u64::from(self.chance.between(1_000, 6_000)))
    }
}

/// The operator in the cluster, with the means to harm both.
pub struct Plant<'a> {
    cluster: &'a Cluster,
    recorder: &'a Recorder,
    replicas: Vec<Operator>,
    made: usize,
    upgrades: usize,
}

impl<'a> Plant<'a> {
    /// Installs the chart and starts its replicas.
    pub async fn install(cluster: &'a Cluster, recorder: &'a Recorder) -> Result<Self> {
        cluster.install_chart(&chart()).await?;
        let mut plant = Self { cluster, recorder, replicas: Vec::new(), made: 0, upgrades: 0 };
        for _ in 0..REPLICAS {
            let replica = plant.start_replica().await?;
            plant.replicas.push(replica);
        }
        Ok(plant)
    }

    /// Does it, and undoes it after `lasts`.
    pub async fn strike(&mut self, fault: Fault, lasts: Duration) -> Result<()> {
        match fault {
            Fault::LeaderDies | Fault::LeaderRestarts => {
                let leader = self.leader().await?;
                self.bounce(&[leader], lasts).await
            }
            Fault::AllReplicasDie => self.bounce(&[0, 1], lasts).await,
            Fault::ApiServerDies => {
                self.cluster.kill_apiserver()?;
                sleep(lasts).await;
                self.cluster.start_apiserver().await
            }
            Fault::StoreDies => {
                self.cluster.kill_etcd()?;
                sleep(lasts).await;
                self.cluster.start_etcd().await
            }
            Fault::ControllerManagerDies => {
                self.cluster.kill_controller_manager()?;
                sleep(lasts).await;
                self.cluster.start_controller_manager()
            }
            Fault::PoliciesGo => self.without_policies(lasts).await,
            Fault::Upgrade => self.upgrade().await,
        }
        .with_context(|| fault.name())
    }

    /// An error when a replica has ended that nobody ended.
    pub fn expect_running(&mut self) -> Result<()> {
        for replica in &mut self.replicas {
            let log = replica.log_file().display().to_string();
            ensure!(replica.is_running()?, "a replica has ended by itself; its log is {log}");
        }
        Ok(())
    }

    async fn start_replica(&mut self) -> Result<Operator> {
        let name = format!("poolbudget-{}", self.made);
        self.made += 1;
        let binary = operator_binary()?;
        let launch = async || self.cluster.launch_of(SYSTEM, RELEASE, &name, &binary).await;
        self.cluster.start_operator(&patiently("ask how a replica is run", launch).await?)
    }

    /// Which replica holds the Lease; the first when none does.
    async fn leader(&self) -> Result<usize> {
        let read = async || {
            let leases: Api<Lease> = Api::namespaced(self.cluster.client().await?, SYSTEM);
            Ok(leases.get_opt(RELEASE).await?)
        };
        let holder = patiently("read the Lease", read).await?.and_then(|lease| lease.spec?.holder_identity);
        let leads = |replica: &Operator| holder.as_deref() == Some(replica.name());
        Ok(self.replicas.iter().position(leads).unwrap_or(0))
    }

    /// SIGKILL, if possible in the middle of a grant: when it is recorded and its pod does not know of it yet.
    async fn bounce(&mut self, places: &[usize], away: Duration) -> Result<()> {
        let mine = |place: usize| places.contains(&place);
        // Nobody may be waiting for a grant.
        let _ = timeout(OPPORTUNITY, self.recorder.next_grant()).await;
        for (_, replica) in self.replicas.iter_mut().enumerate().filter(|(place, _)| mine(*place)) {
            replica.kill()?;
        }
        sleep(away).await;
        for (_, replica) in self.replicas.iter_mut().enumerate().filter(|(place, _)| mine(*place)) {
            replica.start_again()?;
        }
        Ok(())
    }

    /// What `poolbudget release` or a hasty administrator does: pods are born without a gate until the chart is
    /// applied again.
    async fn without_policies(&self, lasts: Duration) -> Result<()> {
        let binding = "mutatingadmissionpolicybinding";
        let args = ["delete", binding, "gate.poolbudget.dev", "mirror.poolbudget.dev", "--ignore-not-found"];
        patiently("delete the bindings", async || self.cluster.kubectl(&args).await).await?;
        sleep(lasts).await;
        self.apply_chart().await?;
        self.cluster.until_gated().await
    }

    /// As the chart's Deployment would: one comes, one goes, until all are new.
    async fn upgrade(&mut self) -> Result<()> {
        self.upgrades += 1;
        self.apply_chart().await?;
        for place in 0..self.replicas.len() {
            let new = self.start_replica().await?;
            patiently("await that the new replica is ready", async || is_ready(&new).await).await?;
            let Some(replica) = self.replicas.get_mut(place) else { continue };
            let mut old = std::mem::replace(replica, new);
            old.terminate()?;
            let ended = old.wait(ENDS).await?;
            ensure!(ended.success(), "{} was asked to end and did with {ended}", old.name());
        }
        Ok(())
    }

    /// `helm upgrade` with the values of so many upgrades.
    async fn apply_chart(&self) -> Result<()> {
        let tag = format!("image.tag=0.1.{}", self.upgrades);
        let format = if self.upgrades.is_multiple_of(2) { "logFormat=text" } else { "logFormat=json" };
        let chart = chart().display().to_string();
        self.cluster
            .helm(&["upgrade", RELEASE, &chart, "-n", SYSTEM, "--set", &tag, "--set", format])
            .await?;
        Ok(())
    }
}

async fn is_ready(replica: &Operator) -> Result<()> {
    let (status, body) = replica.get("/readyz").await?;
    ensure!(status == 200, "{} answers {status}: {body}", replica.name());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_fault_is_forgotten_and_each_round_has_another_order() {
        let mut deck = Deck::new(Random::of_purpose(3, 2));
        let mut round = || (0..DECK.len()).map(|_| deck.draw().0).collect::<Vec<_>>();
        let (one, two) = (round(), round());
        assert_ne!(one, two);
        for mut round in [one, two] {
            round.sort_unstable();
            assert_eq!(DECK.as_slice(), round);
        }
    }
}
