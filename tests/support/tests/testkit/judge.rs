//! The recorder judges rightly: what it counts, and when a sum is over. That it sees a cluster so is tried in `tests/e2e`.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use testkit::bill::{self, Account, Standing};
use testkit::ledger::{Ledger, Totals};
use testkit::objects::{self, BUDGET_LABEL, CONNECTIONS, MAX_OVERFLOW, POOL_SIZE, Workload, granted_pod};

const AT: Duration = Duration::ZERO;

/// As the API server would show the pod, under the uid and in the phase given.
fn as_seen(workload: &Workload, uid: &str, phase: &str) -> Pod {
    let pod = workload.clone().status(json!({"phase": phase})).json();
    serde_json::from_value(objects::stored(pod, uid, 1)).unwrap()
}

fn running(workload: &Workload, uid: &str) -> Pod {
    as_seen(workload, uid, "Running")
}

fn main_account() -> Account {
    Account::of("shop", "main")
}

fn labelled(name: &str) -> Workload {
    objects::pod("shop", name).label(BUDGET_LABEL, "main")
}

fn bill_of(workload: &Workload) -> (Standing, u64, usize) {
    let bill = bill::read(&running(workload, "a")).unwrap();
    (bill.standing, bill.connections, bill.faults.len())
}

#[test]
fn a_granted_pod_holds_its_size_once_for_every_engine_of_every_process() {
    let granted = Standing::Granted { pool_size: 2, max_overflow: 1 };
    assert_eq!((granted, 3, 0), bill_of(&granted_pod("shop", "a", "main", 2, 1)));
    let many = granted_pod("shop", "a", "main", 2, 1)
        .annotation("poolbudget.dev/processes", "4")
        .annotation("poolbudget.dev/engines", "2")
        .annotation(CONNECTIONS, "24");
    assert_eq!((granted, 24, 0), bill_of(&many));
}

#[test]
fn a_gated_pod_holds_nothing_even_when_its_size_is_written_already() {
    let gated = granted_pod("shop", "a", "main", 2, 1).gate("poolbudget.dev/connections");
    assert_eq!((Standing::Gated, 0, 0), bill_of(&gated));
}

#[test]
fn an_ended_pod_holds_nothing() {
    for phase in ["Succeeded", "Failed"] {
        let bill = bill::read(&as_seen(&granted_pod("shop", "a", "main", 2, 1), "a", phase)).unwrap();
        assert_eq!((Standing::Ended, 0), (bill.standing, bill.connections));
    }
}

#[test]
fn a_pod_on_a_node_has_ended_when_each_of_its_containers_has() {
    let mut pod = as_seen(&granted_pod("shop", "a", "main", 2, 1), "a", "Failed");
    pod.spec.as_mut().unwrap().node_name = Some("lost".to_owned());
    assert_eq!(3, bill::read(&pod).unwrap().connections, "nobody has seen it end");
    let name = &pod.spec.as_ref().unwrap().containers[0].name;
    let ended = json!([{"name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"terminated": {"exitCode": 0}}}]);
    pod.status.as_mut().unwrap().container_statuses = Some(serde_json::from_value(ended).unwrap());
    assert_eq!(0, bill::read(&pod).unwrap().connections);
}

#[test]
fn a_pod_without_a_grant_holds_what_its_literals_say_or_the_defaults_of_sqlalchemy() {
    assert_eq!((Standing::Foreign, 15, 0), bill_of(&labelled("a")));
    assert_eq!((Standing::Foreign, 12, 0), bill_of(&labelled("a").env("DB_POOL_SIZE", "2")));
    let both = labelled("a").env("DB_POOL_SIZE", "7").env("DB_MAX_OVERFLOW", "0");
    assert_eq!((Standing::Foreign, 14, 0), bill_of(&both.annotation("poolbudget.dev/processes", "2")));
}

#[test]
fn a_pod_that_no_budget_governs_counts_apart_when_it_names_a_size() {
    assert_eq!(None, bill::read(&running(&objects::pod("shop", "web"), "a")));
    let old = objects::pod("shop", "api").env("DB_POOL_SIZE", "5").env("DB_MAX_OVERFLOW", "10");
    let bill = bill::read(&running(&old, "a")).unwrap();
    assert_eq!((Account::ungoverned("shop"), 15), (bill.account, bill.connections));
}

#[test]
fn a_grant_that_the_container_does_not_read_or_that_does_not_add_up_is_a_fault() {
    let size = |pod: Workload| {
        pod.annotation(POOL_SIZE, "2").annotation(MAX_OVERFLOW, "1").annotation(CONNECTIONS, "3")
    };
    // Where the env reads something else, the bill that the grant states is wrong too.
    let cases = [
        ("no env at all", size(labelled("a")), 3),
        ("literals", size(labelled("a")).env("DB_POOL_SIZE", "2").env("DB_MAX_OVERFLOW", "1"), 2),
        ("a literal after the right one", size(labelled("a")).late_bound().env("DB_POOL_SIZE", "50"), 2),
        (
            "the two swapped",
            {
                let swapped = size(labelled("a")).env_from_annotation("DB_POOL_SIZE", MAX_OVERFLOW);
                swapped.env_from_annotation("DB_MAX_OVERFLOW", POOL_SIZE)
            },
            2,
        ),
        ("another bill", granted_pod("shop", "a", "main", 2, 1).annotation(CONNECTIONS, "2"), 1),
        ("a pool without bound", granted_pod("shop", "a", "main", 0, 1), 2),
        ("not a number", granted_pod("shop", "a", "main", 2, 1).annotation(POOL_SIZE, "-1"), 1),
        (
            "another container",
            granted_pod("shop", "a", "main", 2, 1).annotation("poolbudget.dev/container", "x"),
            2,
        ),
    ];
    for (case, pod, faults) in cases {
        assert_eq!(faults, bill_of(&pod).2, "{case}");
    }
}

#[test]
fn own_env_names_are_read_where_the_annotations_say() {
    let own = labelled("a")
        .annotation(POOL_SIZE, "2")
        .annotation(MAX_OVERFLOW, "1")
        .annotation(CONNECTIONS, "3")
        .annotation("poolbudget.dev/pool-size-env", "SIZE")
        .annotation("poolbudget.dev/max-overflow-env", "MORE")
        .env_from_annotation("SIZE", POOL_SIZE)
        .env_from_annotation("MORE", MAX_OVERFLOW);
    assert_eq!((Standing::Granted { pool_size: 2, max_overflow: 1 }, 3, 0), bill_of(&own));
}

#[test]
fn a_terminating_pod_counts_until_it_is_gone() {
    let mut ledger = Ledger::default();
    let mut pod = running(&granted_pod("shop", "a", "main", 2, 1).pod_spec("nodeName", "node-0"), "a");
    ledger.seen(AT, &pod);
    pod.metadata.deletion_timestamp = Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap());
    ledger.seen(AT, &pod);
    assert_eq!(3, ledger.totals(&main_account()).connections);
    ledger.gone(AT, &pod);
    assert_eq!(Totals::default(), ledger.totals(&main_account()));
    assert_eq!(3, ledger.peak(&main_account()));
}

#[test]
fn the_first_rise_over_the_limit_is_kept_with_what_every_pod_held() {
    let mut ledger = Ledger::default();
    ledger.limit(AT, &main_account(), 5);
    ledger.seen(AT, &running(&granted_pod("shop", "a", "main", 2, 1), "a"));
    assert!(ledger.overs().is_empty());
    ledger.seen(Duration::from_secs(1), &running(&granted_pod("shop", "b", "main", 2, 1), "b"));
    let over = ledger.overs().first().unwrap();
    assert_eq!((Duration::from_secs(1), 6, 5), (over.at, over.connections, over.limit));
    assert_eq!([("a".to_owned(), 3), ("b".to_owned(), 3)], over.pods.as_slice());
}

/// Three pods hold 3 connections each, and their limit is lowered to 4.
fn lowered() -> (Ledger, [Pod; 3]) {
    let mut ledger = Ledger::default();
    ledger.limit(AT, &main_account(), 13);
    let pods = ["a", "b", "c"].map(|name| running(&granted_pod("shop", name, "main", 2, 1), name));
    for pod in &pods {
        ledger.seen(AT, pod);
    }
    ledger.limit(AT, &main_account(), 4);
    (ledger, pods)
}

#[test]
fn a_limit_lowered_under_the_sum_is_broken_by_a_rise_above_that_sum() {
    let (mut ledger, pods) = lowered();
    ledger.gone(AT, &pods[0]);
    assert!(ledger.overs().is_empty());
    ledger.seen(AT, &pods[0]);
    assert!(ledger.overs().is_empty(), "as much as before");
    ledger.seen(AT, &running(&granted_pod("shop", "d", "main", 2, 1), "d"));
    assert_eq!(1, ledger.overs().len());
}

#[test]
fn once_the_sum_fits_a_lowered_limit_is_broken_by_any_rise_above_it() {
    let (mut ledger, pods) = lowered();
    ledger.gone(AT, &pods[0]);
    ledger.gone(AT, &pods[1]);
    ledger.seen(AT, &pods[0]);
    assert_eq!(1, ledger.overs().len());
}

#[test]
fn a_limit_that_is_set_too_late_is_broken_at_once() {
    let mut ledger = Ledger::default();
    ledger.seen(AT, &running(&granted_pod("shop", "a", "main", 2, 1), "a"));
    ledger.limit(AT, &main_account(), 2);
    assert_eq!(1, ledger.overs().len());
}

#[test]
fn what_a_new_list_does_not_show_is_gone() {
    let mut ledger = Ledger::default();
    let [a, b] = ["a", "b"].map(|name| running(&granted_pod("shop", name, "main", 2, 1), name));
    ledger.listed(AT, &[a]);
    ledger.listed(AT, &[b]);
    assert_eq!(3, ledger.totals(&main_account()).connections);
    // Old and new never stood side by side, so their sum is no peak.
    assert_eq!(3, ledger.peak(&main_account()));
}

#[test]
fn a_granted_pod_stays_on_its_bill_at_its_largest_size_whatever_is_done_to_it() {
    let cases = [
        ("its size is lowered", granted_pod("shop", "a", "main", 1, 0)),
        ("its label is moved", granted_pod("shop", "a", "other", 2, 1)),
        ("its grant is taken away", labelled("a").env("DB_POOL_SIZE", "1").env("DB_MAX_OVERFLOW", "0")),
    ];
    for (case, changed) in cases {
        let mut ledger = Ledger::default();
        ledger.seen(AT, &running(&granted_pod("shop", "a", "main", 2, 1), "a"));
        ledger.seen(AT, &running(&changed, "a"));
        assert_eq!(3, ledger.totals(&main_account()).connections, "{case}");
        assert_eq!(1, ledger.faults().len(), "{case}: {:?}", ledger.faults());
        // And it stays so with the next event.
        ledger.seen(AT, &running(&changed, "a"));
        assert_eq!(3, ledger.totals(&main_account()).connections, "{case}");
    }
}
