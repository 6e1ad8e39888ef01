//! How lists are read: streamed if the server can, otherwise in pages that are bounded in bytes, one list at a time.

use std::time::Duration;

use poolbudget::api::BudgetKey;
use poolbudget::controller::gateway::{Gateway, KubeGateway};
use poolbudget::controller::lease::Leadership;
use poolbudget::controller::snapshot::snapshot;
use poolbudget::telemetry::metrics::Metrics;
use serde_json::{Value, json};

use super::watch::{Watching, budget, expired, pod};
use super::wire::{Trouble, Wire, until};

/// A pod of this many bytes.
fn heavy(name: &str, bytes: usize) -> Value {
    let mut pod = pod(name, 5);
    pod["metadata"]["annotations"] = json!({"example.com/notes": "x".repeat(bytes)});
    pod
}

/// How often pages of this many objects were requested.
fn pages(wire: &Wire, plural: &str, objects: u32) -> usize {
    let (path, limit) = (format!("/{plural}?"), format!("limit={objects}"));
    let state = wire.state();
    let of = |line: &&String| line.contains(&path) && line.split(['?', '&']).any(|part| part == limit);
    state.asked.iter().filter(of).count()
}

fn put(wire: &Wire, plural: &str, objects: Vec<Value>) {
    wire.state().lists.insert(plural.to_owned(), objects);
}

#[tokio::test(start_paused = true)]
async fn where_lists_are_streamed_nothing_is_listed_in_pages_and_the_newest_state_is_asked_for() {
    let watching = Watching::synced(|wire| {
        wire.state().streams = true;
        put(wire, "pods", vec![pod("a", 3), pod("b", 4)]);
    })
    .await;
    assert!(watching.sees("a") && watching.sees("b"));
    assert_eq!(watching.wire.asked("limit="), 0);
    assert!(watching.wire.asked("sendInitialEvents=true") >= 10);
    // An API server that lags behind answers version 0 with whatever it has.
    assert_eq!(watching.wire.asked("resourceVersion=0"), 0);
    assert!(!watching.counted("watch"));
    // The same stream brings later changes.
    watching.wire.tell("pods", "ADDED", &pod("late", 60));
    until("the pod is seen", || watching.sees("late")).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_to_stream_is_listed_in_pages_without_an_error() {
    let watching = Watching::synced(|wire| {
        wire.state().streams = true;
        put(wire, "pods", vec![pod("a", 3)]);
    })
    .await;
    watching.wire.state().streams = false;
    put(&watching.wire, "pods", vec![pod("b", 60)]);
    watching.wire.tell("pods", "ERROR", &expired());
    until("the new pod is seen, the old one is not", || watching.sees("b") && !watching.sees("a")).await;
    assert!(watching.wire.asked("limit=100") >= 1);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_too_large_is_asked_for_again_in_a_smaller_one() {
    const KIB: usize = 1024;
    // Size and number of the pods, and the smallest page that was requested.
    for (size, pods, smallest) in [(KIB, 250, 100), (300 * KIB, 30, 10), (3_000 * KIB, 12, 1)] {
        let watching = Watching::synced(|wire| {
            put(wire, "pods", (0..pods).map(|n| heavy(&format!("pod-{n}"), size)).collect());
        })
        .await;
        assert!((0..pods).all(|n| watching.sees(&format!("pod-{n}"))), "{size} bytes");
        for page in [100, 10, 1] {
            let asked = pages(&watching.wire, "pods", page);
            assert_eq!(asked > 0, page >= smallest, "{size} bytes: {asked} pages of {page}");
        }
        // That is not a failure.
        assert!(!watching.counted("watch"), "{size} bytes");
    }
}

#[tokio::test(start_paused = true)]
async fn a_consistent_read_of_pods_is_bounded_alike() {
    let (wire, client) = Wire::start();
    put(&wire, "pods", (0..25).map(|n| heavy(&format!("pod-{n}"), 500_000)).collect());
    let leads = Leadership::default();
    let gateway = KubeGateway::new(client, leads, "poolbudget-0", Metrics::default());
    let pods = gateway.pods(&BudgetKey::new("shop", "main")).await.expect("the pods");
    assert_eq!(pods.len(), 25);
    assert_eq!([100, 10, 1].map(|page| pages(&wire, "pods", page)), [1, 1, 25]);
}

/// Users' commands, and the job that runs before an uninstall, list as the operator does.
#[tokio::test(start_paused = true)]
async fn a_snapshot_of_a_namespace_is_bounded_alike() {
    let (wire, client) = Wire::start();
    put(&wire, "pods", (0..25).map(|n| heavy(&format!("pod-{n}"), 500_000)).collect());
    let observed = snapshot(&client, "shop").await.expect("a snapshot");
    assert!((0..25).all(|n| observed.world().pods.find("shop", &format!("pod-{n}")).is_some()));
    assert_eq!([100, 10, 1].map(|page| pages(&wire, "pods", page)), [1, 1, 25]);
}

#[tokio::test(start_paused = true)]
async fn lists_in_pages_are_read_one_after_another_and_one_without_an_answer_stops_the_others_for_ten_seconds()
 {
    let watching = Watching::start(|wire| wire.fail("limit=", Trouble::Silence));
    for (after, lists) in [(9, 1), (2, 2), (10, 3)] {
        tokio::time::sleep(Duration::from_secs(after)).await;
        assert_eq!(watching.wire.asked("limit="), lists, "{after} s later");
    }
}

#[tokio::test(start_paused = true)]
async fn of_the_metadata_of_a_budget_nothing_is_kept_that_is_not_used() {
    let mut budget = budget("main", "Gate");
    budget["metadata"]["annotations"] = json!({"poolbudget.dev/forget": "api-1", "kubectl.kubernetes.io/last-applied-configuration": "x".repeat(100_000)});
    budget["metadata"]["managedFields"] = json!([{"manager": "kubectl"}]);
    let watching = Watching::synced(|wire| put(wire, "dbconnectionbudgets", vec![budget])).await;
    let world = watching.observed.world();
    let kept = world.budgets.find("shop", "main").expect("the budget");
    let kept = serde_json::to_value(&kept.metadata).expect("JSON");
    assert_eq!(
        kept,
        json!({"name": "main", "namespace": "shop", "uid": "uid-main", "resourceVersion": "5",
            "annotations": {"poolbudget.dev/forget": "api-1"}})
    );
}
