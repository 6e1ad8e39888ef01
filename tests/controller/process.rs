//! The whole controller from start to end, on a server that fails.

use std::time::Duration;

use poolbudget::controller::secrets::Secrets;
use poolbudget::controller::{API_SERVER, CACHES, Identity, Settings, Vantage, run};
use poolbudget::database::https::Origin;
use poolbudget::database::supabase::{Projects, Supabase};
use poolbudget::telemetry::http::Readiness;
use poolbudget::telemetry::metrics::Metrics;
use serde_json::json;
use testkit::objects::{budget_object, stored};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::wire::{Trouble, Wire, until};

/// One replica.
struct Replica {
    wire: Wire,
    metrics: Metrics,
    readiness: Readiness,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Replica {
    fn start(prepare: impl FnOnce(&Wire)) -> Self {
        let (wire, client) = Wire::start();
        prepare(&wire);
        let (metrics, readiness) = (Metrics::default(), Readiness::awaiting(&[API_SERVER]));
        let stop = CancellationToken::new();
        let identity =
            Identity { namespace: "system".into(), lease: "poolbudget".into(), name: "one".into() };
        let supabase = Supabase {
            api: Origin::new("https://api.supabase.com", None).expect("an origin"),
            projects: Projects::new("https://{ref}.supabase.co").expect("addresses"),
        };
        let vantage =
            Vantage { secrets: Secrets::new(client.clone(), "system"), networks: Vec::new(), supabase };
        let settings = Settings { identity, pod_networks: Vec::new(), vantage };
        let task = tokio::spawn(run(client, settings, metrics.clone(), readiness.clone(), stop.clone()));
        Self { wire, metrics, readiness, stop, task }
    }

    fn leads(&self) -> bool {
        self.metrics.render().contains("\npoolbudget_leader 1\n")
    }

    async fn ready(&self) {
        until("ready", || self.leads() && self.readiness.missing().is_empty()).await;
    }

    async fn ends(self, seconds: u64) {
        let begun = Instant::now();
        self.stop.cancel();
        self.task.await.expect("an end without a panic");
        assert!(begun.elapsed().as_secs() <= seconds, "took {:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_at_the_start_is_waited_for_and_named() {
    for trouble in [Trouble::Broken, Trouble::Silence, Trouble::Refused(503), Trouble::Refused(403)] {
        let replica = Replica::start(|wire| wire.fail("/", trouble));
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert_eq!(replica.readiness.missing(), [API_SERVER], "{trouble:?}");
        assert!(!replica.leads());
        replica.wire.heal();
        replica.ready().await;
        replica.ends(1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_may_not_list_says_what_it_waits_for_and_ends_when_told() {
    let replica = Replica::start(|wire| wire.fail("dbconnectionbudgets", Trouble::Refused(404)));
    until("it leads", || replica.leads()).await;
    until("it has tried", || replica.wire.asked("dbconnectionbudgets") >= 3).await;
    until("the lists alone are missing", || replica.readiness.missing() == [CACHES]).await;
    replica.ends(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_loses_the_lease_stops_and_begins_anew_with_new_lists_when_it_has_it_again() {
    let replica = Replica::start(|_| {});
    replica.ready().await;
    let lists = replica.wire.asked("/pods?&labelSelector");
    replica.wire.fail("leases", Trouble::Refused(500));
    until("it leads no more", || !replica.leads()).await;
    replica.wire.heal();
    replica.ready().await;
    assert!(replica.wire.asked("/pods?&labelSelector") > lists);
    replica.ends(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_lease_another_took_stops_leading() {
    let replica = Replica::start(|_| {});
    replica.ready().await;
    {
        let mut state = replica.wire.state();
        let lease = state.lease.as_mut().expect("a lease");
        lease["spec"]["holderIdentity"] = json!("two");
    }
    until("it leads no more", || !replica.leads()).await;
    replica.ends(1).await;
}

#[tokio::test(start_paused = true)]
async fn work_that_does_not_end_is_left_to_the_next_leader_and_the_lease_is_given_up() {
    let budget = stored(budget_object("shop", "main", &json!({"limit": {"connections": 15}})), "b", 5);
    let replica = Replica::start(|wire| {
        wire.state().lists.insert("dbconnectionbudgets".into(), vec![budget]);
        wire.fail("namespaces/shop/dbconnectionbudgets/main", Trouble::Silence);
    });
    until("the budget is read", || replica.wire.asked("namespaces/shop/dbconnectionbudgets/main") == 1).await;
    let wire = replica.wire.clone();
    replica.ends(16).await;
    let lease = wire.state().lease.clone().expect("a lease");
    assert_eq!(lease["spec"]["holderIdentity"], json!(null));
}
