//! Which pods a ReplicaSet loses first: the model's choice is that of the real controller.
//!
//! Pods get random attributes of every kind that the controller ranks by, the set shrinks, and who is left must be
//! what the model leaves. Where the controller's choice is open, the model is asked for every outcome.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use testkit::model::replica_set::{self, Change, Phase, change};
use testkit::random::Random;

use super::real::{Stage, bind, name};
use super::script::{Script, edit, pods};
use crate::world::SHARED;

const PODS: u32 = 8;
const COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// What a pod is given.
struct Traits {
    node: Option<u32>,
    running: bool,
    /// For how many seconds it has been ready.
    ready_for: Option<i64>,
    cost: i32,
    restarts: u32,
}

fn traits(random: &mut Random) -> Traits {
    let node = random.percent(85).then(|| random.between(0, 1));
    let running = node.is_some() && random.percent(80);
    // Ages of different powers of two, as the controller compares them.
    let ready_for = (running && random.percent(65)).then(|| random.pick(&[40, 700, 40_000]));
    let cost = random.pick(&[0, 0, 0, 0, -5, 7]);
    Traits { node, running, ready_for, cost, restarts: if running { random.between(0, 2) } else { 0 } }
}

async fn give(pods: &Api<Pod>, pod: &Pod, traits: &Traits, now: Timestamp) {
    let (patch, name) = (PatchParams::default(), name(pod));
    let cost = json!({"metadata": {"annotations": {COST: traits.cost.to_string()}}});
    pods.patch(&name, &patch, &Patch::Merge(cost)).await.unwrap();
    let Some(node) = traits.node else { return };
    bind(pods, pod, &format!("node-{node}")).await;
    let ready = traits.ready_for.is_some();
    let since = now - SignedDuration::from_secs(traits.ready_for.unwrap_or(0));
    let condition = json!({
        "type": "Ready",
        "status": if ready { "True" } else { "False" },
        "lastTransitionTime": Timestamp::from_second(since.as_second()).unwrap().to_string(),
    });
    let container = json!({
        "name": "app", "image": "shop/app:1", "imageID": "", "ready": ready, "restartCount": traits.restarts,
    });
    let phase = if traits.running { "Running" } else { "Pending" };
    let status = json!({"phase": phase, "conditions": [condition], "containerStatuses": [container]});
    pods.patch_status(&name, &patch, &Patch::Strategic(json!({"status": status}))).await.unwrap();
}

/// The pods as the model sees them.
fn seen(pods: &[Pod]) -> Vec<replica_set::Pod> {
    let mut uids: Vec<&String> = pods.iter().filter_map(|pod| pod.metadata.uid.as_ref()).collect();
    uids.sort();
    let since = |second: i64| Duration::from_secs(u64::try_from(second).unwrap());
    let view = |pod: &Pod| {
        let (spec, status) = (pod.spec.as_ref().unwrap(), pod.status.as_ref().unwrap());
        let place = uids.iter().position(|uid| Some(*uid) == pod.metadata.uid.as_ref()).unwrap();
        let created = pod.metadata.creation_timestamp.as_ref().unwrap().0.as_second();
        let mut conditions = status.conditions.iter().flatten();
        let ready = conditions.find(|it| it.type_ == "Ready" && it.status == "True");
        let restarts = status.container_statuses.iter().flatten().map(|it| it.restart_count).max();
        replica_set::Pod {
            node: spec.node_name.as_ref().map(|node| if node == "node-0" { 0 } else { 1 }),
            phase: if status.phase.as_deref() == Some("Running") { Phase::Running } else { Phase::Pending },
            ready: ready.map(|it| since(it.last_transition_time.as_ref().unwrap().0.as_second())),
            cost: pod.metadata.annotations.as_ref().unwrap()[COST].parse().unwrap(),
            restarts: (u32::try_from(restarts.unwrap_or(0)).unwrap(), 0),
            ..replica_set::Pod::new(u64::try_from(place).unwrap(), since(created))
        }
    };
    pods.iter().map(view).collect()
}

/// Who is left, one way or another.
type Outcomes = BTreeSet<BTreeSet<String>>;

/// A model that does not look at something, or takes it the other way round.
type Blind = fn(&mut replica_set::Pod);

const SIGHTED: Blind = |_| {};
const BLIND: [(&str, Blind); 7] = [
    ("nodes", |pod| pod.node = None),
    ("crowded nodes", |pod| pod.node = pod.node.map(|_| 0)),
    ("phases", |pod| pod.phase = Phase::Running),
    ("readiness", |pod| pod.ready = None),
    ("ages", |pod| pod.ready = pod.ready.map(|_| Duration::ZERO)),
    ("costs", |pod| pod.cost = 0),
    // Without this nothing decides, and anybody may go.
    ("restarts", |pod| pod.restarts.0 = 9 - pod.restarts.0),
];

/// Who may be left, by name: the controller sees the pods in any order, and compares their ages at any instant
/// from the first to the second.
fn possible(pods: &[Pod], wanted: u32, blind: Blind, instants: [u64; 2], random: &mut Random) -> Outcomes {
    let mut views: Vec<(String, replica_set::Pod)> = pods.iter().map(name).zip(seen(pods)).collect();
    views.iter_mut().for_each(|(_, pod)| blind(pod));
    let mut outcomes = Outcomes::new();
    let [from, to] = instants;
    for _ in 0..600 {
        for place in (1..views.len()).rev() {
            views.swap(place, random.below(place + 1));
        }
        let late = random.between(0, u32::try_from(to - from).unwrap());
        let now = Duration::from_millis(from + u64::from(late));
        let (names, view): (Vec<String>, Vec<replica_set::Pod>) = views.iter().cloned().unzip();
        let Change::Delete(gone) = change(usize::try_from(wanted).unwrap(), &view, &view, now) else {
            panic!("nothing to delete")
        };
        let left = names.into_iter().enumerate().filter(|(place, _)| !gone.contains(place));
        outcomes.insert(left.map(|(_, name)| name).collect());
    }
    outcomes
}

fn milliseconds() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap()
}

/// Shrinks a set of random pods step by step as the model does, and returns what a model must not be blind to in
/// order to do so.
async fn shrink(seed: u64) -> BTreeSet<&'static str> {
    let cluster = SHARED.cluster().await.unwrap();
    let client = cluster.client().await.unwrap();
    let namespace = format!("ranking-{seed}");
    cluster.create_namespace(&namespace).await.unwrap();
    let mut random = Random::new(seed);
    let mut stage = Stage::open(&client, &namespace);
    let script = Script { name: namespace, replicas: PODS, strategy: pods(1, 0), steps: Vec::new() };
    stage.create(&script).await;
    stage.come_to_rest(None).await;
    let now = Timestamp::now();
    for pod in stage.active().await {
        give(&stage.pods, &pod, &traits(&mut random), now).await;
    }
    let mut needed = BTreeSet::new();
    let mut wanted = PODS;
    while wanted > 1 {
        stage.come_to_rest(None).await;
        wanted -= random.between(1, wanted - 1);
        let (before, from) = (stage.active().await, milliseconds());
        stage.perform(&edit().replicas(wanted).into(), 0).await;
        stage.come_to_rest(None).await;
        let left: BTreeSet<String> = stage.active().await.iter().map(name).collect();
        let instants = [from, milliseconds()];
        let mut outcomes = |blind| possible(&before, wanted, blind, instants, &mut random);
        let expected = outcomes(SIGHTED);
        assert!(
            expected.contains(&left),
            "seed {seed}, to {wanted}: {left:?} are left, the model leaves one of {expected:#?} of {:#?}",
            before.iter().map(name).zip(seen(&before)).collect::<Vec<_>>()
        );
        let fails = |(_, blind): &(&str, Blind)| !outcomes(*blind).contains(&left);
        needed.extend(BLIND.into_iter().filter(fails).map(|(what, _)| what));
    }
    needed
}

#[tokio::test]
async fn a_set_that_shrinks_loses_the_pods_that_the_model_would_delete() {
    let needed = futures::future::join_all((0..16).map(shrink)).await.into_iter().flatten().collect();
    let all = BTreeSet::from(BLIND.map(|(what, _)| what));
    assert_eq!(all, needed, "a model that is blind to the others would do as well");
}
