//! The election, with every answer that it can get.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use poolbudget::controller::lease::{Elector, Leadership};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::wire::{Trouble, Wire, until};

/// Everything that can go wrong with a request.
const TROUBLES: [Trouble; 7] = [
    Trouble::Refused(403),
    Trouble::Refused(429),
    Trouble::Refused(500),
    Trouble::Refused(503),
    Trouble::Silence,
    Trouble::Broken,
    Trouble::Nonsense,
];

/// One process that wants the Lease.
struct Striver {
    wire: Wire,
    leadership: Leadership,
    leads: watch::Receiver<bool>,
    reached: watch::Receiver<bool>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Striver {
    fn start(lease: Option<Value>) -> Self {
        Self::with(lease, |_| {})
    }

    fn with(lease: Option<Value>, prepare: impl FnOnce(&Wire)) -> Self {
        let (wire, client) = Wire::start();
        wire.state().lease = lease;
        prepare(&wire);
        let leadership = Leadership::default();
        let (state, leads) = watch::channel(false);
        let (answered, reached) = watch::channel(false);
        let stop = CancellationToken::new();
        let elector = Elector::new(Api::<Lease>::namespaced(client, "system"), "poolbudget", "one");
        let task = tokio::spawn(elector.run(leadership.clone(), state, answered, stop.clone()));
        Self { wire, leadership, leads, reached, stop, task }
    }

    async fn leads(&self, expected: bool) {
        until(&format!("leads: {expected}"), || *self.leads.borrow() == expected).await;
    }

    fn lease(&self) -> Value {
        self.wire.state().lease.clone().unwrap_or_default()["spec"].clone()
    }
}

fn held_by(holder: &str) -> Value {
    json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "poolbudget", "namespace": "system", "resourceVersion": "7"},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": 3,
            "renewTime": "2026-01-01T00:00:00.000000Z"}})
}

#[tokio::test(start_paused = true)]
async fn who_finds_no_lease_makes_one_and_leads() {
    let one = Striver::start(None);
    one.leads(true).await;
    assert!(one.leadership.holds());
    assert_eq!(
        (&one.lease()["holderIdentity"], &one.lease()["leaseTransitions"]),
        (&json!("one"), &json!(1))
    );
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_taken_from_another_only_when_it_was_seen_unchanged_for_its_duration() {
    let begun = Instant::now();
    let one = Striver::start(Some(held_by("two")));
    one.leads(true).await;
    let waited = begun.elapsed().as_secs();
    assert!((15..=20).contains(&waited), "waited {waited} s");
    assert_eq!(one.lease()["leaseTransitions"], json!(4));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_says_nothing_sensible_can_be_taken() {
    for spec in [
        json!({}),
        json!(null),
        json!({"holderIdentity": ""}),
        json!({"holderIdentity": "two", "leaseDurationSeconds": i32::MIN}),
        json!({"holderIdentity": "two"}),
    ] {
        let mut lease = held_by("two");
        lease["spec"] = spec;
        let one = Striver::start(Some(lease));
        one.leads(true).await;
        assert_eq!(one.lease()["leaseDurationSeconds"], json!(15));
    }
}

#[tokio::test(start_paused = true)]
async fn who_cannot_reach_the_server_at_the_start_does_not_lead_and_says_so_and_tries_on() {
    for request in ["GET", "POST"] {
        for trouble in TROUBLES {
            let one = Striver::with(None, |wire| wire.fail(request, trouble));
            tokio::time::sleep(Duration::from_secs(30)).await;
            assert!(
                !*one.leads.borrow() && !one.leadership.holds() && !*one.reached.borrow(),
                "{request} {trouble:?}"
            );
            assert!(one.wire.asked(request) >= 3, "{request} {trouble:?}: it tries again");
            one.wire.heal();
            one.leads(true).await;
            until("the server is known to answer", || *one.reached.borrow()).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_stops_leading_after_ten_seconds_and_goes_on_when_it_can() {
    for request in ["GET", "PUT"] {
        for trouble in TROUBLES {
            let one = Striver::start(None);
            one.leads(true).await;
            let failing = Instant::now();
            one.wire.fail(request, trouble);
            until("the leadership ends", || !one.leadership.holds()).await;
            let held = failing.elapsed().as_millis();
            assert!((7_900..=10_100).contains(&held), "{request} {trouble:?}: held for {held} ms");
            one.leads(false).await;
            one.wire.heal();
            one.leads(true).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_another_write_overtook_ends_the_lead_at_once() {
    let one = Striver::start(None);
    one.leads(true).await;
    one.wire.fail("PUT", Trouble::Refused(409));
    let begun = Instant::now();
    one.leads(false).await;
    assert!(!one.leadership.holds() && begun.elapsed().as_millis() <= 2_100);
}

#[tokio::test(start_paused = true)]
async fn of_two_that_make_the_lease_at_once_the_later_one_waits() {
    let one = Striver::with(None, |wire| wire.fail("POST", Trouble::Refused(409)));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!*one.leads.borrow());
    one.wire.state().lease = Some(held_by("two"));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!*one.leads.borrow());
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_another_took_is_let_go() {
    let one = Striver::start(None);
    one.leads(true).await;
    one.wire.state().lease = Some(held_by("two"));
    one.leads(false).await;
    assert!(!one.leadership.holds());
    assert_eq!(one.lease()["holderIdentity"], json!("two"));
}

#[tokio::test(start_paused = true)]
async fn who_stops_gives_the_lease_up_so_that_the_next_one_need_not_wait() {
    let one = Striver::start(None);
    one.leads(true).await;
    one.stop.cancel();
    one.task.await.expect("an end");
    assert!(!*one.leads.borrow() && !one.leadership.holds());
    let lease = one.wire.state().lease.clone().expect("a lease")["spec"].clone();
    assert_eq!((&lease["holderIdentity"], &lease["leaseDurationSeconds"]), (&json!(null), &json!(1)));
}

#[tokio::test(start_paused = true)]
async fn who_cannot_give_the_lease_up_ends_all_the_same() {
    for request in ["GET", "PUT"] {
        for trouble in TROUBLES {
            let one = Striver::start(None);
            one.leads(true).await;
            one.wire.fail(request, trouble);
            one.stop.cancel();
            let begun = Instant::now();
            one.task.await.expect("an end");
            assert!(begun.elapsed().as_secs() <= 10, "{request} {trouble:?}: {:?}", begun.elapsed());
            assert!(!one.leadership.holds());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_stops_leaves_the_lease_of_another_alone() {
    for lease in [Some(held_by("two")), None] {
        let one = Striver::start(Some(held_by("two")));
        tokio::time::sleep(Duration::from_secs(3)).await;
        one.wire.state().lease.clone_from(&lease);
        one.stop.cancel();
        one.task.await.expect("an end");
        assert_eq!(one.wire.state().lease, lease);
    }
}

/// A process that holds the Lease so that no replica leads.
struct Holding {
    leadership: Leadership,
    task: JoinHandle<()>,
}

impl Holding {
    fn start(client: kube::Client) -> Self {
        let leadership = Leadership::default();
        let elector = Elector::new(Api::<Lease>::namespaced(client, "system"), "poolbudget", "release");
        let task = tokio::spawn(elector.hold(leadership.clone()));
        Self { leadership, task }
    }

    async fn alone(&self) {
        until("alone", || self.leadership.holds()).await;
    }
}

fn strive(client: kube::Client, name: &str) -> Leadership {
    let leadership = Leadership::default();
    let elector = Elector::new(Api::<Lease>::namespaced(client, "system"), "poolbudget", name);
    let (state, reached) = (watch::channel(false).0, watch::channel(false).0);
    tokio::spawn(elector.run(leadership.clone(), state, reached, CancellationToken::new()));
    leadership
}

#[tokio::test(start_paused = true)]
async fn while_the_lease_is_held_for_the_end_none_of_the_replicas_leads() {
    let (wire, client) = Wire::start();
    let replicas = [strive(client.clone(), "one"), strive(client.clone(), "two")];
    until("one leads", || replicas.iter().any(Leadership::holds)).await;
    let holding = Holding::start(client);
    holding.alone().await;
    for _ in 0..3_000 {
        assert!(holding.leadership.holds() && !replicas.iter().any(Leadership::holds));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    holding.task.abort();
    let begun = Instant::now();
    until("one leads again", || replicas.iter().any(Leadership::holds)).await;
    let waited = begun.elapsed().as_secs();
    assert!((26..=34).contains(&waited), "waited {waited} s");
    assert_eq!(wire.state().lease.clone().expect("a lease")["spec"]["leaseDurationSeconds"], json!(15));
}

#[tokio::test(start_paused = true)]
async fn who_holds_the_lease_for_the_end_waits_until_the_former_leader_has_stopped_by_itself() {
    let leases = [None, Some(held_by("two")), Some(held_by("release")), Some(held_by(""))];
    for lease in leases {
        let (wire, client) = Wire::start();
        wire.state().lease = lease;
        let begun = Instant::now();
        Holding::start(client).alone().await;
        let waited = begun.elapsed().as_secs();
        assert!((15..=17).contains(&waited), "waited {waited} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_cut_off_from_the_server_has_stopped_before_anybody_else_acts() {
    let one = Striver::start(None);
    one.leads(true).await;
    // The leader does not notice the change of hands: another client talks to another server with the same Lease.
    let lease = one.wire.state().lease.clone();
    one.wire.fail("leases", Trouble::Silence);
    let (wire, client) = Wire::start();
    wire.state().lease = lease;
    let holding = Holding::start(client);
    until("the leader has stopped", || {
        assert!(!holding.leadership.holds());
        !one.leadership.holds()
    })
    .await;
    holding.alone().await;
}

#[tokio::test(start_paused = true)]
async fn who_loses_the_lease_that_it_held_for_the_end_does_not_act_until_it_is_alone_again() {
    let (wire, client) = Wire::start();
    let holding = Holding::start(client);
    holding.alone().await;
    wire.state().lease = Some(held_by("two"));
    until("it notices", || !holding.leadership.holds()).await;
    let begun = Instant::now();
    holding.alone().await;
    assert!(begun.elapsed().as_secs() >= 14, "{:?}", begun.elapsed());
    wire.fail("leases", Trouble::Refused(500));
    until("it cannot renew", || !holding.leadership.holds()).await;
    wire.heal();
    holding.alone().await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_cannot_be_taken_is_tried_for_and_nobody_acts_meanwhile() {
    for request in ["GET", "POST"] {
        for trouble in TROUBLES.into_iter().chain([Trouble::Refused(409)]) {
            let (wire, client) = Wire::start();
            wire.fail(request, trouble);
            let holding = Holding::start(client);
            tokio::time::sleep(Duration::from_secs(60)).await;
            assert!(!holding.leadership.holds(), "{request} {trouble:?}");
            wire.heal();
            holding.alone().await;
        }
    }
}
