//! From the bytes of the fuzzer to objects, and to the checks of `tests/bad_input`.
//!
//! In: bytes. A text that is a JSON object or a YAML mapping is taken as the object itself; all other bytes are the seed
//! of the generators of the property tests. Out: nothing, or a panic that names the broken rule. The governor takes the
//! bytes as they are: they are what its clients and servers send.

use poolbudget::governor::first_bytes as first;
use poolbudget::governor::framing::Session;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::Value;

#[path = "../../tests/bad_input/arbitrary.rs"]
mod arbitrary;
#[path = "../../tests/bad_input/checks.rs"]
mod checks;
#[path = "../../tests/bad_input/gateway.rs"]
mod gateway;
#[path = "../../tests/bad_input/objects.rs"]
mod objects;

use checks::Given;

/// One pod, by itself and among others.
pub fn pod(bytes: &[u8]) {
    let Some(pod) = object(bytes, arbitrary::pod("b")) else { return };
    checks::a_pod_counts_in_full(&pod);
    checks::a_look_is_sound(&Given { pods: vec![pod, objects::pod("a"), objects::pod("c")], ..around() });
}

/// One budget, with its status.
pub fn budget(bytes: &[u8]) {
    let Some(budget) = object(bytes, arbitrary::budget()) else { return };
    checks::a_look_is_sound(&Given { budget, ..around() });
}

/// A Deployment, a ReplicaSet, an autoscaler or a Job, by its kind.
pub fn workload(bytes: &[u8]) {
    let any = proptest::prop_oneof![
        arbitrary::workload(objects::deployment()),
        arbitrary::workload(objects::replica_set()),
        arbitrary::spoiled(objects::autoscaler(), 3),
        arbitrary::grouped(objects::job("import-1")),
    ];
    let Some(object) = object(bytes, any) else { return };
    let mut given = around();
    match object["kind"].as_str() {
        Some("ReplicaSet") => given.sets.push(object),
        Some("Job") => given.jobs.push(object),
        Some("HorizontalPodAutoscaler") => given.scalers.push(object),
        _ => given.deployments.push(object),
    }
    checks::a_look_is_sound(&given);
}

/// What a client begins with: more bytes never change what it is, and eight are enough to tell.
pub fn first_bytes(bytes: &[u8]) {
    let mut known = None;
    for length in 0..=bytes.len().min(2 * first::ENOUGH) {
        let now = first::read(&bytes[..length]);
        assert!(known.is_none() || now == known, "{known:?}, then {now:?}");
        known = now;
    }
    assert!(known.is_some() || bytes.len() < first::ENOUGH, "eight bytes tell nothing");
}

/// A session: the first byte of each piece says who sends it and how long it is. The pieces make no difference.
pub fn framing(bytes: &[u8]) {
    let (mut whole, mut single) = (Session::default(), Session::default());
    let mut rest = bytes;
    while let Some((head, after)) = rest.split_first() {
        let (piece, after) = after.split_at(after.len().min(usize::from(head & 0x7f)));
        let send: fn(&mut Session, &[u8]) = if head & 0x80 == 0 { Session::client } else { Session::server };
        send(&mut whole, piece);
        piece.chunks(1).for_each(|byte| send(&mut single, byte));
        assert_eq!(whole.is_idle(), single.is_idle(), "after {piece:?}");
        rest = after;
    }
}

fn around() -> Given {
    Given {
        budget: objects::budget(),
        pods: ["a", "b", "c"]
            .map(objects::pod)
            .into_iter()
            .chain([objects::pod_of_job("d", "import-1")])
            .collect(),
        deployments: vec![objects::deployment()],
        sets: vec![objects::replica_set()],
        scalers: vec![objects::autoscaler()],
        jobs: vec![objects::job("import-1")],
    }
}

fn object(bytes: &[u8], made: impl Strategy<Value = Value>) -> Option<Value> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let read = serde_json::from_str(text).ok().or_else(|| serde_yaml::from_str(text).ok());
        if let Some(object @ Value::Object(_)) = read {
            return Some(object);
        }
    }
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed(bytes));
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    made.new_tree(&mut runner).ok().map(|tree| tree.current())
}

/// The generators branch too often to be fed with the bytes themselves; these choose the run.
fn seed(bytes: &[u8]) -> [u8; 32] {
    let mut seed = [0; 32];
    for (place, byte) in bytes.iter().enumerate() {
        let slot: &mut u8 = &mut seed[place % 32];
        *slot = slot.rotate_left(3) ^ byte;
    }
    seed
}
