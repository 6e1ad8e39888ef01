//! One look at a namespace by a process that does not lead.

use std::collections::BTreeSet;

use kube::Client;
use poolbudget::controller::dispatch::Requests;
use poolbudget::controller::follow::watch_all;
use poolbudget::controller::observe::Observed;
use poolbudget::controller::refused::Refusals;
use poolbudget::controller::snapshot::snapshot;
use poolbudget::telemetry::metrics::Metrics;
use testkit::objects::{governed_pod, stored};

use super::wire::{Trouble, Wire, until};

fn server(installed: bool) -> (Wire, Client) {
    let (wire, client) = Wire::start();
    wire.state().installed = installed;
    (wire, client)
}

/// The plurals of the listed kinds, without PodDisruptionBudgets: those only say when to look again.
fn listed(wire: &Wire) -> BTreeSet<String> {
    let state = wire.state();
    let lists = state.asked.iter().filter(|line| !line.contains("watch=true") && line.contains('?'));
    let plural = |line: &String| Some(line.split('?').next()?.rsplit('/').next()?.to_owned());
    lists.filter_map(plural).filter(|plural| plural != "poddisruptionbudgets").collect()
}

#[tokio::test(start_paused = true)]
async fn every_kind_that_is_watched_is_listed_by_a_look_too() {
    let (watched, client) = server(true);
    let (requests, _queue) = Requests::channel();
    let mut watches =
        watch_all(&client, &Observed::default(), &Refusals::default(), &requests, &Metrics::default());
    watches.synced().await;
    until("Rollouts are listed", || listed(&watched).contains("rollouts")).await;

    let (looked, client) = server(true);
    snapshot(&client, "shop").await.expect("a snapshot");
    assert_eq!(listed(&looked), listed(&watched));
    assert!(
        looked
            .state()
            .asked
            .iter()
            .all(|line| line.contains("/namespaces/shop/") || line.contains("argoproj"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_not_installed_is_not_missed() {
    let (wire, client) = server(false);
    snapshot(&client, "shop").await.expect("a snapshot");
    assert!(!listed(&wire).contains("rollouts"));
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_may_not_be_read_is_named() {
    let (wire, client) = server(false);
    wire.fail("horizontalpodautoscalers", Trouble::Refused(403));
    let Err(failed) = snapshot(&client, "shop").await else { panic!("it was read") };
    assert_eq!(failed.to_string(), "cannot list horizontalpodautoscalers.autoscaling in namespace shop");
}

#[tokio::test(start_paused = true)]
async fn a_look_sees_what_is_there() {
    let (wire, client) = server(false);
    let pod = stored(governed_pod("shop", "a", "main").json(), "a", 1);
    wire.state().lists.insert("pods".into(), vec![pod]);
    let observed = snapshot(&client, "shop").await.expect("a snapshot");
    assert!(observed.world().pods.find("shop", "a").is_some());
}
