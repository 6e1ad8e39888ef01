//! The judge judges rightly: what it lets pass, and that it does fail what is wrong.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::bill::Account;
use testkit::objects::{self, Workload, granted_pod};
use testkit::store::Change;

use super::judge::{BUDGETS, Judge, PODS};

/// A store that is written to, and the judge who sees it.
#[derive(Default)]
struct Store {
    judge: Judge,
    revision: u64,
    now: Duration,
    /// What the status says was held when the limit fell.
    mark: Option<u64>,
}

impl Store {
    /// A budget with so many usable connections, taken over by a first leader.
    fn with(usable: u64) -> Self {
        let mut store = Self::default();
        store.budget(usable, 1, &[]);
        store
    }

    fn write(&mut self, key: &str, value: Option<Value>) {
        self.revision += 1;
        self.judge.see(self.now, &Change { revision: self.revision, key: key.to_owned(), value });
    }

    /// The budget, with what its status records: epoch, and bills by pod.
    fn budget(&mut self, usable: u64, epoch: u64, grants: &[(&str, u64)]) {
        let entry = |(pod, bill): &(&str, u64)| json!({"uid": pod, "pod": pod, "connections": bill});
        let grants: Vec<Value> = grants.iter().map(entry).collect();
        let budget = json!({
            "spec": {"limit": {"connections": usable + 2}, "reserved": 2},
            "status": {"ledger": {"epoch": epoch, "grants": grants, "highWater": self.mark}},
        });
        self.write(&format!("{BUDGETS}shop/main"), Some(budget));
    }

    fn pod(&mut self, pod: &Workload, status: &Value) {
        let mut value: Value = serde_json::from_str(&pod.to_string()).unwrap();
        let name = value["metadata"]["name"].as_str().unwrap().to_owned();
        value["metadata"]["uid"] = json!(name);
        value["status"] = status.clone();
        self.write(&format!("{PODS}shop/{name}"), Some(value));
    }

    fn waits(&mut self, name: &str) {
        self.pod(&labelled(name).gate("poolbudget.dev/connections"), &json!({}));
    }

    fn opens(&mut self, name: &str, bill: u32) {
        self.pod(&granted_pod("shop", name, "main", 1, bill - 1).grace_seconds(30), &json!({}));
    }

    fn runs(&mut self, name: &str, bill: u32) {
        let running = json!({"name": "app", "image": "i", "imageID": "", "ready": true, "restartCount": 0,
            "state": {"running": {}}});
        let status = json!({"phase": "Running", "containerStatuses": [running]});
        self.pod(&granted_pod("shop", name, "main", 1, bill - 1).grace_seconds(30), &status);
    }

    fn ends(&mut self, name: &str, bill: u32) {
        self.pod(&granted_pod("shop", name, "main", 1, bill - 1), &json!({"phase": "Succeeded"}));
    }

    fn goes(&mut self, name: &str) {
        self.write(&format!("{PODS}shop/{name}"), None);
    }

    fn passes(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    fn held(&self) -> u64 {
        let main = Account::of("shop", "main");
        self.judge.figures(self.now).find(|(account, _)| *account == main).unwrap().1.held
    }

    /// What is wrong; empty when nothing is.
    fn wrong(&self) -> &str {
        self.judge.violation().map_or("", |violation| violation.wrong.as_str())
    }

    /// A pod is born, granted and opened as it should be.
    fn grants(&mut self, usable: u64, name: &str, bill: u32) {
        self.waits(name);
        self.budget(usable, 1, &[(name, u64::from(bill))]);
        self.opens(name, bill);
        self.budget(usable, 1, &[]);
    }
}

fn labelled(name: &str) -> Workload {
    objects::pod("shop", name).label(objects::BUDGET_LABEL, "main")
}

#[test]
fn a_grant_is_held_from_its_record_until_the_pod_is_gone() {
    let mut store = Store::with(5);
    store.waits("a");
    assert_eq!(0, store.held());
    store.budget(5, 1, &[("a", 3)]);
    assert_eq!(3, store.held());
    store.opens("a", 3);
    assert_eq!(3, store.held());
    store.budget(5, 1, &[]);
    assert_eq!(3, store.held());
    store.goes("a");
    assert_eq!((0, ""), (store.held(), store.wrong()));
}

#[test]
fn a_pod_that_has_ended_holds_nothing() {
    let mut store = Store::with(5);
    store.grants(5, "a", 3);
    store.ends("a", 3);
    assert_eq!((0, ""), (store.held(), store.wrong()));
}

#[test]
fn the_last_connection_may_be_granted_and_no_more() {
    let mut store = Store::with(5);
    store.grants(5, "a", 3);
    store.grants(5, "b", 2);
    assert_eq!("", store.wrong());
    store.waits("c");
    store.budget(5, 1, &[("c", 1)]);
    assert_eq!("what shop/main holds rose from 5 to 6; usable are 5 of 5", store.wrong());
    let pods = &store.judge.violation().unwrap().pods;
    assert_eq!(["a holds 3 (1+2)", "b holds 2 (1+1)", "c waits"], pods.as_slice());
}

#[test]
fn a_grant_to_a_pod_that_is_gone_already_holds_nothing() {
    let mut store = Store::with(5);
    store.waits("a");
    store.goes("a");
    store.budget(5, 1, &[("a", 9)]);
    assert_eq!((0, ""), (store.held(), store.wrong()));
}

#[test]
fn a_pod_that_opens_without_its_record_is_wrong_even_when_it_fits() {
    let mut store = Store::with(5);
    store.waits("a");
    store.opens("a", 3);
    assert_eq!("pod shop/a: it was granted 3, and the status of its budget has None", store.wrong());
    let mut store = Store::with(5);
    store.waits("a");
    store.budget(5, 1, &[("a", 2)]);
    store.opens("a", 3);
    assert_eq!("pod shop/a: it was granted 3, and the status of its budget has Some(2)", store.wrong());
}

#[test]
fn a_grant_that_is_changed_is_wrong() {
    let mut store = Store::with(9);
    store.grants(9, "a", 3);
    store.opens("a", 2);
    assert!(store.wrong().starts_with("pod shop/a: its grant was changed"), "{}", store.wrong());
}

#[test]
fn under_a_lowered_limit_what_is_held_may_fall_and_not_rise() {
    let mut store = Store::with(9);
    store.grants(9, "a", 3);
    store.grants(9, "b", 3);
    store.waits("c");
    store.budget(2, 1, &[]);
    store.goes("a");
    assert_eq!("", store.wrong());
    store.budget(2, 1, &[("c", 1)]);
    assert_eq!("what shop/main holds rose from 3 to 4; usable are 2 of 2", store.wrong());
}

#[test]
fn under_a_lowered_limit_pods_come_back_within_what_was_held_and_was_allowed() {
    let comes_down = |mark: u64, bill: u32| {
        let mut store = Store::with(9);
        store.grants(9, "a", 4);
        store.grants(9, "b", 4);
        store.waits("c");
        store.goes("a");
        store.mark = Some(mark);
        store.budget(2, 1, &[("c", u64::from(bill))]);
        store.wrong().to_owned()
    };
    assert_eq!("", comes_down(8, 4));
    assert_eq!("what shop/main holds rose from 4 to 9; usable are 8 of 2", comes_down(8, 5));
    assert_eq!("what shop/main holds rose from 4 to 10; usable are 9 of 2", comes_down(100, 6));
}

#[test]
fn a_grant_that_was_recorded_before_the_limit_was_lowered_may_still_reach_its_pod() {
    let mut store = Store::with(9);
    store.waits("a");
    store.budget(9, 1, &[("a", 3)]);
    store.budget(2, 1, &[("a", 3)]);
    store.opens("a", 3);
    assert_eq!((3, ""), (store.held(), store.wrong()));
}

#[test]
fn a_pod_that_passed_the_gate_is_taken_off_the_limit_when_a_leader_must_have_seen_it() {
    let escaped = labelled("e").env("DB_POOL_SIZE", "2").env("DB_MAX_OVERFLOW", "1");
    let mut store = Store::with(5);
    store.pod(&escaped, &json!({}));
    store.passes(9);
    store.grants(5, "a", 3);
    assert_eq!(("", 1), (store.wrong(), store.judge.tally().unaware));
    store.passes(1);
    store.waits("b");
    store.budget(5, 1, &[("b", 1)]);
    assert_eq!("what shop/main holds rose from 3 to 4; usable are 2 of 5", store.wrong());
}

#[test]
fn a_pod_that_vanished_while_it_ran_counts_for_its_grace_period_with_the_leader_that_saw_it_go() {
    let vanished = || {
        let mut store = Store::with(5);
        store.grants(5, "a", 3);
        store.runs("a", 3);
        store.passes(10);
        store.goes("a");
        store.waits("b");
        store
    };
    let mut same = vanished();
    same.passes(29);
    same.budget(5, 1, &[("b", 3)]);
    assert_eq!("what shop/main holds rose from 3 to 6; usable are 5 of 5", same.wrong());
    let mut later = vanished();
    later.passes(30);
    later.budget(5, 1, &[("b", 3)]);
    assert_eq!("", later.wrong());
    let mut next_leader = vanished();
    next_leader.budget(5, 2, &[]);
    next_leader.budget(5, 2, &[("b", 3)]);
    assert_eq!("", next_leader.wrong());
}

#[test]
fn an_epoch_that_falls_is_wrong() {
    let mut store = Store::with(5);
    store.budget(5, 2, &[]);
    assert_eq!(("", 2), (store.wrong(), store.judge.tally().takeovers));
    store.budget(5, 1, &[]);
    assert_eq!("the epoch fell", store.wrong());
}

#[test]
fn a_pod_waits_from_its_birth_to_its_grant() {
    let mut store = Store::with(9);
    for (name, seconds) in [("a", 1), ("b", 2), ("c", 7)] {
        store.waits(name);
        store.budget(9, 1, &[(name, 1)]);
        store.passes(seconds);
        store.opens(name, 1);
    }
    let tally = store.judge.tally();
    let waits = [50, 99].map(|percent| tally.wait(percent).map(|wait| wait.as_secs()));
    assert_eq!([Some(2), Some(7)], waits);
}
