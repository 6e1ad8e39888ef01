//! Asks pods how they use their pools, one after another and without haste.
//!
//! In: what was observed, which networks pods are in. Out: evidence in the world, and a reconcile where it matters. Each
//! pod is asked about every 30 seconds; of many pods 100 in a second, and never more than 32 at once. Forbidden here:
//! what follows from an answer.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::dispatch::Requests;
use super::fetch::fetch;
use super::observe::Observed;
use crate::api::BudgetKey;
use crate::api::pool_status::PoolStatus;
use crate::cluster::pod::PodRecord;
use crate::cluster::world::World;
use crate::evidence::{self, Reading, Silence};
use crate::network::{Network, may_be_asked};
use crate::telemetry::metrics::Metrics;

/// How often a pod is asked, if there are not too many of them.
const PERIOD: Duration = Duration::from_secs(30);
/// The most pods that are asked in a second.
const RATE: usize = 100;
/// The most pods that are asked at the same time.
const AT_ONCE: usize = 32;
/// How often it is looked up which pods there are.
const CENSUS: Duration = Duration::from_secs(5);
/// How often pods that are due are asked.
const STEP: Duration = Duration::from_millis(100);
/// A budget is reconciled for news about the use of its pools this often at most.
const NEWS: Duration = Duration::from_secs(60);

/// A pod that is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Asked {
    pod: Arc<PodRecord>,
    at: PoolStatus,
    address: SocketAddr,
}

/// Who is asked when.
#[derive(Default)]
struct Rounds {
    pods: HashMap<String, Asked>,
    due: BTreeSet<(Instant, String)>,
    /// Makes the pods of a workload that start together be asked at different times.
    spread: RandomState,
}

impl Rounds {
    /// These are the pods now. A pod that is new is asked soon.
    fn census(&mut self, pods: Vec<Asked>, now: Instant) {
        let pods: HashMap<String, Asked> = pods.into_iter().map(|one| (one.pod.uid.clone(), one)).collect();
        self.due.retain(|(_, uid)| pods.contains_key(uid));
        for uid in pods.keys().filter(|uid| !self.pods.contains_key(*uid)) {
            self.due.insert((now + self.part_of(CENSUS, uid), uid.clone()));
        }
        self.pods = pods;
    }

    /// How long a round takes.
    fn period(&self) -> Duration {
        PERIOD.max(Duration::from_secs(u64::try_from(self.pods.len() / RATE).unwrap_or(u64::MAX)))
    }

    /// A part of this time, another one for each pod.
    fn part_of(&self, time: Duration, uid: &str) -> Duration {
        let thousandth = u32::try_from(self.spread.hash_one(uid) % 1000).unwrap_or(0);
        time / 1000 * thousandth
    }

    /// A pod that is due, if there is one. It is due again after a round.
    fn next(&mut self, now: Instant) -> Option<Asked> {
        if self.due.first()?.0 > now {
            return None;
        }
        let (_, uid) = self.due.pop_first()?;
        let one = self.pods.get(&uid)?.clone();
        let period = self.period();
        // Between 0.9 and 1.1 of it.
        let again = period * 9 / 10 + self.part_of(period / 5, &uid);
        self.due.insert((now + again, uid));
        Some(one)
    }
}

/// The Ready pods that say, or whose budget says, where they answer.
fn pods(world: &World, networks: &[Network]) -> Vec<Asked> {
    let budgets: HashMap<(&str, &str), _> = world
        .budgets
        .iter()
        .filter_map(|budget| {
            let (namespace, name) = (budget.metadata.namespace.as_deref()?, budget.metadata.name.as_deref()?);
            Some(((namespace, name), &budget.spec))
        })
        .collect();
    let asked = |pod: &Arc<PodRecord>| {
        let spec = budgets.get(&(pod.namespace.as_str(), pod.budget()))?;
        // Before it is Ready, its server may not listen yet.
        let speaks = pod.ready || world.evidence(&pod.uid).is_some();
        let address = pod.address.filter(|_| pod.bound && !pod.gated && !pod.ended && speaks)?;
        let at = pod.answers_at(spec).filter(|_| may_be_asked(address, networks))?;
        let address = SocketAddr::new(address, at.port);
        Some(Asked { pod: Arc::clone(pod), at, address })
    };
    world.pods.iter().filter_map(asked).collect()
}

/// Asks until it is dropped.
pub async fn ask(observed: Observed, networks: Vec<Network>, requests: Requests, metrics: Metrics) {
    let mut rounds = Rounds::default();
    let mut news = [News::default(), News::default()];
    let mut running = JoinSet::new();
    let mut step = interval(STEP);
    step.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut census = None;
    loop {
        tokio::select! {
            _ = step.tick() => {}
            Some(answered) = running.join_next() => {
                // A panic ends the process (panic = abort); a task is never cancelled.
                let Ok((one, answer)) = answered else { continue };
                take_in(&observed, &one, answer, &mut news, &requests, &metrics);
                continue;
            }
        }
        let now = Instant::now();
        if census.is_none_or(|last| now.duration_since(last) >= CENSUS) {
            census = Some(now);
            rounds.census(pods(&observed.world(), &networks), now);
        }
        let most = RATE * usize::try_from(STEP.as_millis()).unwrap_or(0) / 1000;
        for _ in 0..most {
            if running.len() >= AT_ONCE {
                break;
            }
            let Some(one) = rounds.next(now) else { break };
            running.spawn(async move {
                let answer = fetch(one.address, &one.at.path).await;
                let answer = answer.and_then(|body| evidence::read(&body).ok_or(Silence::NotUnderstood));
                (one, answer)
            });
        }
    }
}

/// When each budget was last reconciled for news about use.
#[derive(Default)]
struct News(HashMap<BudgetKey, Instant>);

impl News {
    /// Whether a budget is to be reconciled for news that are not urgent.
    fn is_due(&mut self, key: &BudgetKey) -> bool {
        let now = Instant::now();
        self.0.retain(|_, last| now.duration_since(*last) < NEWS);
        let due = !self.0.contains_key(key);
        if due {
            self.0.insert(key.clone(), now);
        }
        due
    }
}

fn take_in(
    observed: &Observed,
    one: &Asked,
    answer: Result<Reading, Silence>,
    [of_use, of_silence]: &mut [News; 2],
    requests: &Requests,
    metrics: &Metrics,
) {
    let pod = &one.pod;
    metrics.pool_status_asked(answer.map_or_else(Silence::class, |_| "understood"));
    if let Err(silence) = answer {
        tracing::debug!(pod = pod.name, namespace = pod.namespace, path = &*one.at.path, %silence, "no pool status");
    }
    let key = BudgetKey::new(&pod.namespace, pod.budget());
    let tells = match answer {
        Ok(reading) => {
            let urgent = observed.world().see_evidence(&pod.namespace, &pod.name, &pod.uid, reading);
            of_use.is_due(&key) || urgent
        }
        Err(silence) => {
            observed.world().see_silence(&pod.uid, silence);
            of_silence.is_due(&key)
        }
    };
    if tells {
        requests.request(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(count: usize) -> Vec<Asked> {
        let pod = |n: usize| {
            let object = serde_json::json!({
                "metadata": {"name": format!("p{n}"), "namespace": "shop", "uid": format!("u{n}"), "resourceVersion": "1",
                    "labels": {"poolbudget.dev/budget": "main"}},
                "spec": {"nodeName": "node"}, "status": {"podIP": "10.0.0.1"},
            });
            let view = serde_json::from_value(object).expect("a pod");
            Arc::new(PodRecord::read(&view).expect("a record"))
        };
        let at = PoolStatus::parse(":80/").expect("a place");
        let address = SocketAddr::new([10, 0, 0, 1].into(), 80);
        (0..count).map(|n| Asked { pod: pod(n), at: at.clone(), address }).collect()
    }

    /// How often each pod is asked within this time.
    fn times(count: usize, seconds: u64) -> Vec<usize> {
        let (mut rounds, begin) = (Rounds::default(), Instant::now());
        let mut times: HashMap<String, usize> = HashMap::new();
        let pods = asked(count);
        for step in 0..seconds * 10 {
            let now = begin + STEP * u32::try_from(step).expect("a step");
            if step % 50 == 0 {
                rounds.census(pods.clone(), now);
            }
            for _ in 0..10 {
                let Some(one) = rounds.next(now) else { break };
                *times.entry(one.pod.uid.clone()).or_default() += 1;
            }
        }
        let mut times: Vec<usize> =
            pods.iter().map(|one| times.get(&one.pod.uid).copied().unwrap_or(0)).collect();
        times.sort_unstable();
        times
    }

    #[tokio::test]
    async fn each_pod_is_asked_soon_and_then_about_every_30_seconds() {
        assert_eq!(times(3, 6), [1, 1, 1]);
        for times in times(20, 300) {
            assert!((9..=12).contains(&times), "{times}");
        }
    }

    #[tokio::test]
    async fn many_pods_are_asked_100_in_a_second_and_none_is_forgotten() {
        let times = times(20_000, 450);
        assert!(
            times.first() >= Some(&2) && times.last() <= Some(&3),
            "{:?}, {:?}",
            times.first(),
            times.last()
        );
        assert!(times.iter().sum::<usize>() <= 45_000);
    }

    #[tokio::test]
    async fn a_pod_that_is_gone_is_not_asked_again() {
        let (mut rounds, now) = (Rounds::default(), Instant::now());
        rounds.census(asked(2), now);
        rounds.census(asked(1), now);
        let later = now + 10 * PERIOD;
        let all: Vec<String> =
            std::iter::from_fn(|| rounds.next(later)).take(1).map(|one| one.pod.uid.clone()).collect();
        assert_eq!((all, rounds.due.len()), (vec!["u0".to_owned()], 1));
    }
}
