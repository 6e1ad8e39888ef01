//! StatefulSets and DaemonSets: step by step the models do what the real controllers do.
//!
//! After each step both come to rest, and then the same pods must be there: of the same ordinals or nodes, from the
//! same templates. Where a controller may choose, the model is asked for everything that it might do.

use std::collections::BTreeSet;

use futures::{StreamExt as _, stream};
use testkit::model::IntOrPercent::{Int, Percent};
use testkit::model::daemon_set::{self, DaemonSet};
use testkit::model::stateful_set::{self, StatefulSet};
use testkit::random::Random;

use super::lockstep::{Stage, sorted};
use super::number;
use super::script::Class;
use super::twin::template;
use crate::world::SHARED;

/// Scripts in a cluster at the same time.
const AT_ONCE: usize = 6;

/// A pod, as far as the controllers can tell it from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seen {
    /// Its ordinal, or the place of its node.
    pub(crate) spot: u32,
    pub(crate) template: u32,
    pub(crate) class: Class,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Update {
    StatefulSet(stateful_set::Update),
    DaemonSet(daemon_set::Update),
}

/// What users and kubelets do. Numbers of pods are taken modulo what is there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Scale(u32),
    RollOut(u32),
    Reform(Update),
    /// A pod that waits, or is sick, becomes ready.
    Ready(usize),
    /// A pod that is ready becomes sick.
    Fail(usize),
    Delete(usize),
    /// All that are leaving are gone.
    Release,
}

/// The model of one of the two.
#[derive(Clone, Debug)]
pub(crate) enum Twin {
    StatefulSet(StatefulSet),
    /// With the number of its nodes.
    DaemonSet(DaemonSet, usize),
}

/// What the model is not told, and the controller goes by.
#[derive(Clone, Debug)]
struct Order {
    /// In which it goes through the nodes.
    nodes: Vec<usize>,
    /// Whether the pod of the later template is the older one, as it is after a rollback.
    rolled_back: bool,
}

/// What one pass does.
enum Change {
    Create(u32, u32),
    Delete(usize),
}

impl Twin {
    fn is_daemon_set(&self) -> bool {
        matches!(self, Self::DaemonSet(..))
    }

    /// What a user does to the object.
    fn edit(&mut self, step: Step) {
        match (self, step) {
            (Self::StatefulSet(set), Step::Scale(replicas)) => set.replicas = replicas,
            (Self::StatefulSet(set), Step::RollOut(id)) => set.template = template(id),
            (Self::DaemonSet(set, _), Step::RollOut(id)) => set.template = template(id),
            (Self::StatefulSet(set), Step::Reform(Update::StatefulSet(update))) => set.update = update,
            (Self::DaemonSet(set, _), Step::Reform(Update::DaemonSet(update))) => set.update = update,
            _ => {}
        }
    }

    /// One pass in this order.
    fn pass(&mut self, pods: &[Seen], order: &Order) -> Vec<Change> {
        match self {
            Self::StatefulSet(set) => {
                let view = |pod: &Seen| stateful_set::Pod {
                    ordinal: pod.spot,
                    template: pod.template,
                    ready: pod.class == Class::Ready,
                    terminating: pod.class == Class::Leaving,
                    ended: false,
                };
                let changes = set.sync(&pods.iter().map(view).collect::<Vec<_>>()).into_iter();
                let change = |change| match change {
                    stateful_set::Change::Create(ordinal, template) => Change::Create(ordinal, template.id),
                    stateful_set::Change::Delete(place) => Change::Delete(place),
                };
                changes.map(change).collect()
            }
            Self::DaemonSet(set, _) => {
                let view = |pod: &Seen| daemon_set::Pod {
                    node: usize::try_from(pod.spot).unwrap(),
                    template: pod.template,
                    ready: pod.class == Class::Ready,
                    terminating: pod.class == Class::Leaving,
                    ended: false,
                    // Each node has at most one of a template that is not leaving.
                    age: u64::from(if order.rolled_back { u32::MAX - pod.template } else { pod.template }),
                };
                let newest = set.template.id;
                let changes = set.sync(&order.nodes, &pods.iter().map(view).collect::<Vec<_>>()).into_iter();
                let change = |change| match change {
                    daemon_set::Change::Create(node) => Change::Create(u32::try_from(node).unwrap(), newest),
                    daemon_set::Change::Delete(place) => Change::Delete(place),
                };
                changes.map(change).collect()
            }
        }
    }

    /// Everything that may be there when it has come to rest.
    fn rests(&self, pods: &[Seen]) -> Vec<(Vec<Seen>, Self)> {
        let mut known = BTreeSet::new();
        let mut rests: Vec<(Vec<Seen>, Self)> = Vec::new();
        let mut open = vec![(sorted(pods.to_vec()), self.clone())];
        while let Some((pods, twin)) = open.pop() {
            for order in self.orders() {
                let mut next = (pods.clone(), twin.clone());
                let changes = next.1.pass(&pods, &order);
                if changes.is_empty() {
                    rests.push((pods.clone(), next.1));
                    continue;
                }
                next.0 = applied(&pods, &changes);
                if known.insert(next.0.clone()) {
                    open.push(next);
                }
            }
        }
        rests
    }

    /// The orders that the controller may go by.
    fn orders(&self) -> Vec<Order> {
        let Self::DaemonSet(_, nodes) = self else {
            return vec![Order { nodes: Vec::new(), rolled_back: false }];
        };
        let mut orders = vec![Vec::new()];
        for node in 0..*nodes {
            let with = |order: &Vec<usize>| {
                let at = |place: usize| [&order[..place], &[node], &order[place..]].concat();
                (0..=order.len()).map(at).collect::<Vec<_>>()
            };
            orders = orders.iter().flat_map(with).collect();
        }
        let either =
            |nodes: Vec<usize>| [false, true].map(|rolled_back| Order { nodes: nodes.clone(), rolled_back });
        orders.into_iter().flat_map(either).collect()
    }
}

fn applied(pods: &[Seen], changes: &[Change]) -> Vec<Seen> {
    let mut after: Vec<Option<Seen>> = pods.iter().copied().map(Some).collect();
    for change in changes {
        match *change {
            Change::Create(spot, template) => {
                after.push(Some(Seen { spot, template, class: Class::Waiting }));
            }
            Change::Delete(place) => after[place] = left(pods[place]),
        }
    }
    sorted(after.into_iter().flatten().collect())
}

/// What is left of a pod when its deletion begins: nothing, if it was on no node.
fn left(pod: Seen) -> Option<Seen> {
    (pod.class != Class::Waiting).then_some(Seen { class: Class::Leaving, ..pod })
}

/// The pod that a step is about, and what it is afterwards; none when there is nothing to act on.
pub(crate) fn target(step: Step, pods: &[Seen]) -> Option<(Seen, Option<Seen>)> {
    let pick = |which: usize, of: &[Class]| {
        let fits: Vec<Seen> = pods.iter().copied().filter(|pod| of.contains(&pod.class)).collect();
        fits.get(which % fits.len().max(1)).copied()
    };
    match step {
        Step::Ready(which) => {
            let pod = pick(which, &[Class::Waiting, Class::Sick])?;
            Some((pod, Some(Seen { class: Class::Ready, ..pod })))
        }
        Step::Fail(which) => {
            let pod = pick(which, &[Class::Ready])?;
            Some((pod, Some(Seen { class: Class::Sick, ..pod })))
        }
        Step::Delete(which) => {
            let pod = pick(which, &[Class::Waiting, Class::Sick, Class::Ready])?;
            Some((pod, left(pod)))
        }
        _ => None,
    }
}

/// What the pods are after a step, before the controller has acted on it.
fn stepped(step: Step, pods: &[Seen]) -> Vec<Seen> {
    let mut after = pods.to_vec();
    if let Step::Release = step {
        after.retain(|pod| pod.class != Class::Leaving);
    }
    if let Some((pod, then)) = target(step, pods) {
        let place = after.iter().position(|other| *other == pod).unwrap();
        after.remove(place);
        after.extend(then);
    }
    sorted(after)
}

/// A script: the object that it begins with, and what happens to it.
#[derive(Clone, Debug)]
struct Script {
    name: String,
    twin: Twin,
    steps: Vec<Step>,
}

fn stateful_update(random: &mut Random) -> stateful_set::Update {
    if random.percent(20) {
        return stateful_set::Update::OnDelete;
    }
    let partition = random.pick(&[0, 0, 0, 1, 2]);
    stateful_set::Update::Rolling { partition, max_unavailable: None }
}

fn daemon_update(random: &mut Random) -> daemon_set::Update {
    let rolling = |max_surge, max_unavailable| daemon_set::Update::Rolling { max_surge, max_unavailable };
    match random.below(7) {
        0 => daemon_set::Update::OnDelete,
        1 | 2 => rolling(Int(0), Int(1)),
        3 => rolling(Int(0), Percent(40)),
        4 => rolling(Int(1), Int(0)),
        5 => rolling(Percent(34), Int(0)),
        _ => rolling(Int(0), Int(2)),
    }
}

fn random_script(seed: u64, daemons: bool, nodes: usize) -> Script {
    let mut random = Random::new(seed);
    let random = &mut random;
    let twin = if daemons {
        Twin::DaemonSet(DaemonSet::new(daemon_update(random), template(0)), nodes)
    } else {
        let (replicas, parallel) = (random.between(0, 4), random.percent(40));
        Twin::StatefulSet(StatefulSet::new(replicas, parallel, stateful_update(random), template(0)))
    };
    let mut steps = vec![Step::Ready(0), Step::Ready(0), Step::Ready(0)];
    for _ in 0..14 {
        let which = random.below(9);
        steps.push(match random.below(16) {
            0..=5 => Step::Ready(which),
            6 => Step::Fail(which),
            7 => Step::Delete(which),
            8..=10 => Step::Release,
            11 | 12 => Step::RollOut(random.between(0, 2)),
            13 if daemons => Step::Reform(Update::DaemonSet(daemon_update(random))),
            13 => Step::Reform(Update::StatefulSet(stateful_update(random))),
            _ => Step::Scale(random.between(0, 5)),
        });
    }
    let kind = if daemons { "daemons" } else { "ordinals" };
    Script { name: format!("{kind}-{seed}"), twin, steps }
}

/// What was there at each rest, the steps in between, and what the controller was told first.
#[derive(Clone, Debug)]
struct Recording {
    script: Script,
    rests: Vec<Vec<Seen>>,
}

async fn record(script: Script) -> Recording {
    let cluster = SHARED.cluster().await.unwrap();
    cluster.create_namespace(&script.name).await.unwrap();
    let client = cluster.client().await.unwrap();
    let mut stage = Stage::create(&client, &script.name, &script.twin).await;
    let mut rests = vec![stage.come_to_rest().await];
    for step in &script.steps {
        stage.perform(*step, &rests[rests.len() - 1]).await;
        rests.push(stage.come_to_rest().await);
    }
    stage.end().await;
    Recording { script, rests }
}

/// Holds a recording against the model as `changed` has it. Gives back the rests that were compared.
fn judge(recording: &Recording, changed: impl Fn(&mut Twin)) -> Result<usize, String> {
    let Recording { script, rests } = recording;
    let mut twin = script.twin.clone();
    let mut pods = Vec::new();
    for (place, rest) in rests.iter().enumerate() {
        if let Some(step) = place.checked_sub(1).map(|before| script.steps[before]) {
            twin.edit(step);
            pods = stepped(step, &pods);
        }
        changed(&mut twin);
        let possible = twin.rests(&pods);
        let Some((_, same)) = possible.iter().find(|(there, _)| there == rest) else {
            let possible: BTreeSet<&Vec<Seen>> = possible.iter().map(|(there, _)| there).collect();
            let name = &script.name;
            return Err(format!(
                "{name}, rest {place}: {rest:?} is there, the model has one of {possible:?}\n{recording:#?}"
            ));
        };
        (twin, pods) = (same.clone(), rest.clone());
    }
    Ok(rests.len())
}

async fn recordings(daemons: bool) -> Vec<Recording> {
    let (from, count) = (number("POOLBUDGET_SCRIPTS_FROM", 0), number("POOLBUDGET_SCRIPTS", 25));
    let cluster = SHARED.cluster().await.unwrap();
    let nodes = Stage::nodes(&cluster.client().await.unwrap()).await.len();
    let scripts = (from..from + count).map(|seed| record(random_script(seed, daemons, nodes)));
    stream::iter(scripts).buffer_unordered(AT_ONCE).collect().await
}

fn assert_conforms(recordings: &[Recording]) {
    let compared = recordings.iter().map(|it| judge(it, |_| {}).unwrap_or_else(|why| panic!("{why}")));
    println!("{} scripts, {} rests", recordings.len(), compared.sum::<usize>());
}

fn is_found_out(recordings: &[Recording], mutant: impl Fn(&mut Twin)) -> bool {
    recordings.iter().any(|recording| judge(recording, &mutant).is_err())
}

#[tokio::test]
async fn random_scripts_run_on_the_real_stateful_set_controller_as_on_the_model() {
    let recordings = recordings(false).await;
    assert_conforms(&recordings);
    let with = |change: fn(&mut StatefulSet)| {
        is_found_out(&recordings, |twin| {
            if let Twin::StatefulSet(set) = twin {
                change(set);
            }
        })
    };
    let rolling = |partition| stateful_set::Update::Rolling { partition, max_unavailable: None };
    assert!(with(|set| set.parallel = true));
    assert!(with(|set| set.parallel = false));
    assert!(is_found_out(&recordings, |twin| twin.edit(Step::Reform(Update::StatefulSet(rolling(0))))));
}

#[tokio::test]
async fn random_scripts_run_on_the_real_daemon_set_controller_as_on_the_model() {
    let recordings = recordings(true).await;
    assert_conforms(&recordings);
    let with = |max_surge, max_unavailable| {
        let update = Update::DaemonSet(daemon_set::Update::Rolling { max_surge, max_unavailable });
        is_found_out(&recordings, |twin| twin.edit(Step::Reform(update)))
    };
    assert!(with(Int(0), Int(1)));
    assert!(with(Int(1), Int(0)));
    assert!(recordings.iter().all(|recording| recording.script.twin.is_daemon_set()));
}
