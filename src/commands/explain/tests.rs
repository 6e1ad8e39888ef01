//! Explanations of worlds that the tests build: what is said, word by word.

use std::cell::Cell;

use kube::runtime::watcher::Event;
use serde_json::{Value, json};

use super::*;
use crate::api::DbConnectionBudget;
use crate::cluster::autoscaler::AutoscalerView;
use crate::cluster::guarded::Guarded;
use crate::cluster::pod::PodView;
use crate::cluster::workload::{DeploymentView, ReplicaSetView};
use crate::commands::render::Paint;
use crate::controller::observe::{Observed, Watched};

/// 2026-11-21T17:00:00Z.
const NOW: i64 = 1_795_280_400;

/// A namespace that a test builds object by object.
struct Shop(Sight, Cell<u32>);

impl Shop {
    /// With a budget of 15, of which 2 are reserved, and more of its spec and status.
    fn new(spec: &Value, status: &Value) -> Self {
        let shop = Self::without_budget();
        let mut all = json!({"limit": {"connections": 15}, "reserved": 2});
        merge(&mut all, spec);
        shop.see::<DbConnectionBudget>(json!({
            "metadata": {"name": "main", "namespace": "shop", "uid": "b", "generation": 1},
            "spec": all, "status": status,
        }));
        shop
    }

    fn without_budget() -> Self {
        let now = Timestamp::from_second(NOW).expect("a time");
        Self(Sight { observed: Observed::default(), namespace: "shop".to_owned(), now }, Cell::new(0))
    }

    /// Adds an object, in place of an earlier one with its name.
    fn see<K: Watched>(&self, mut object: Value) {
        self.1.set(self.1.get() + 1);
        object["metadata"]["resourceVersion"] = self.1.get().to_string().into();
        let object: Guarded<K> = serde_json::from_value(object).expect("an object");
        self.0.observed.take(Event::Apply(object), 0);
    }

    /// A labelled Deployment with one ReplicaSet, `NAME-1`.
    fn deployment(self, name: &str, replicas: u32, annotations: &Value) -> Self {
        let template = json!({
            "metadata": {"labels": {"poolbudget.dev/budget": "main"}, "annotations": annotations},
            "spec": {"containers": [container()]},
        });
        self.see::<DeploymentView>(json!({
            "metadata": {"name": name, "namespace": "shop", "uid": name, "generation": 1,
                "labels": {"poolbudget.dev/budget": "main"}},
            "spec": {"replicas": replicas, "template": template},
            "status": {"observedGeneration": 1},
        }));
        self.see::<ReplicaSetView>(json!({
            "metadata": {"name": format!("{name}-1"), "namespace": "shop", "uid": format!("{name}-1"),
                "annotations": {"deployment.kubernetes.io/revision": "1"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": name, "controller": true}]},
            "spec": {"replicas": replicas, "template": template},
            "status": {"replicas": replicas, "readyReplicas": replicas},
        }));
        self
    }

    /// A pod of a Deployment, one minute old, with more of its fields.
    fn pod(self, name: &str, of: &str, more: &Value) -> Self {
        let mut pod = json!({
            "metadata": {"name": name, "namespace": "shop", "uid": name,
                "creationTimestamp": "2026-11-21T16:59:00Z", "labels": {"poolbudget.dev/budget": "main"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{of}-1"),
                    "uid": format!("{of}-1"), "controller": true}]},
            "spec": {"containers": [container()]},
        });
        merge(&mut pod, more);
        self.see::<PodView>(pod);
        self
    }

    fn find(&self, target: &str) -> anyhow::Result<Option<Vec<Explanation>>> {
        find(&self.0, &target.parse()?)
    }

    /// What is said about a target.
    fn told(&self, target: &str) -> String {
        let told = self.find(target).expect("one").expect("something");
        told.iter().map(|told| told.render(Paint::PLAIN)).collect::<Vec<_>>().join("\n")
    }

    /// Asserts that this is said about a target, wherever its lines are broken.
    fn tells(&self, target: &str, part: &str) {
        let told = self.told(target);
        let words = told.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(part), "{part:?} is not in\n{told}");
    }
}

fn container() -> Value {
    let from = |name: &str, note: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": format!("metadata.annotations['poolbudget.dev/{note}']")}}});
    json!({"name": "app", "env": [from("DB_POOL_SIZE", "pool-size"), from("DB_MAX_OVERFLOW", "max-overflow")]})
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

fn granted(pool: u32, overflow: u32, connections: u32) -> Value {
    json!({
        "metadata": {"annotations": {
            "poolbudget.dev/pool-size": pool.to_string(), "poolbudget.dev/max-overflow": overflow.to_string(),
            "poolbudget.dev/connections": connections.to_string()}},
        "spec": {"nodeName": "n"},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    })
}

fn waiting() -> Value {
    json!({"spec": {"schedulingGates": [{"name": "poolbudget.dev/connections"}]}})
}

fn settled(name: &str, at: u32) -> Value {
    json!({"ledger": {"mode": "Gate", "baselines": [{"kind": "Deployment", "name": name, "replicas": at}]}})
}

fn leaving(mut pod: Value, by: &str) -> Value {
    merge(&mut pod, &json!({"metadata": {"deletionTimestamp": by}}));
    pod
}

/// Two granted pods of 4, and room for a third.
fn calm() -> Shop {
    Shop::new(&json!({}), &settled("api", 2))
        .deployment("api", 2, &json!({}))
        .pod("api-1-a", "api", &granted(2, 2, 4))
        .pod("api-1-b", "api", &granted(2, 2, 4))
}

#[test]
fn a_pod_that_reports_more_than_its_grant_is_told_and_is_on_the_bill() {
    let mut status = settled("api", 2);
    status["ledger"]["excess"] = json!([{"uid": "api-1-a", "pod": "api-1-a", "connections": 3}]);
    let shop = Shop::new(&json!({}), &status)
        .deployment("api", 2, &json!({}))
        .pod("api-1-a", "api", &granted(2, 2, 4))
        .pod("api-1-b", "api", &granted(2, 2, 4));
    shop.tells("api-1-a", "4 connections, but it reports 3 more, which count until it is gone");
    shop.tells("api-1-b", "3 subtracted for pods that hold more than their grants, 10 usable, 8 committed");
}

/// Pods that are larger than their share has become hold twelve of 13; one more pod waits.
fn full(spec: &Value) -> Shop {
    Shop::new(spec, &settled("api", 2))
        .deployment("api", 2, &json!({}))
        .deployment("web", 1, &json!({}))
        .pod("api-1-a", "api", &granted(2, 4, 6))
        .pod("api-1-b", "api", &granted(2, 4, 6))
        .pod("web-1-c", "web", &waiting())
}

/// Thirty replicas without a single slot, because a pod that bypassed the gate may hold everything.
fn overrun() -> Shop {
    Shop::new(&json!({}), &settled("api", 2))
        .deployment("api", 30, &json!({}))
        .pod("api-1-a", "api", &granted(1, 0, 1))
        .pod("api-1-b", "api", &json!({"spec": {"nodeName": "n"}}))
        .pod("api-1-c", "api", &waiting())
}

#[test]
fn a_granted_pod_is_told_its_arithmetic_and_why_it_gets_no_more() {
    insta::assert_snapshot!(calm().told("pod/api-1-a"));
}

#[test]
fn a_workload_is_told_its_share_its_slots_and_its_pods() {
    insta::assert_snapshot!(calm().told("api"));
}

#[test]
fn a_pod_that_lacks_room_is_told_the_sum_its_turn_and_who_goes_for_it() {
    insta::assert_snapshot!(full(&json!({})).told("web-1-c"));
}

#[test]
fn a_pod_that_another_gate_holds_is_told_so_and_takes_nothing_from_pods_that_stand() {
    let gates = json!([{"name": "kueue.x-k8s.io/admission"}, {"name": "poolbudget.dev/connections"}]);
    let held = json!({"spec": {"schedulingGates": gates}});
    // Beside two standing pods it is one more than the replicas, and takes nothing from those.
    let shop = calm().pod("api-1-c", "api", &held);
    shop.tells(
        "api-1-c",
        "waits another scheduling gate, kueue.x-k8s.io/admission, holds it; poolbudget grants it when that gate is gone",
    );
    shop.tells("deploy/api", "2 replicas");
    shop.tells("api-1-a", "share that is what a pod of its workload gets now");
    // If only one other pod stands, the part of the held pod goes to that one.
    let shop = Shop::new(&json!({"sizing": {"surge": "Minimal"}}), &settled("api", 2))
        .deployment("api", 2, &json!({}))
        .pod("api-1-a", "api", &granted(2, 2, 4))
        .pod("api-1-c", "api", &held);
    shop.tells("api-1-a", "a pod of its workload gets more now (2 + 4 = 6 connections)");
}

#[test]
fn a_pod_beyond_the_slots_is_told_what_does_not_fit() {
    insta::assert_snapshot!(overrun().told("api-1-c"));
}

#[test]
fn a_pod_without_a_grant_is_told_what_it_takes_from_the_others_and_what_becomes_of_it() {
    insta::assert_snapshot!(overrun().told("api-1-b"));
}

#[test]
fn the_pods_of_a_workload_are_told_apart() {
    insta::assert_snapshot!(overrun().told("deploy/api"));
}

#[test]
fn processes_multiply_and_the_ceiling_is_told_with_who_states_it() {
    let shop = Shop::new(&json!({}), &settled("api", 1));
    shop.see::<AutoscalerView>(json!({
        "metadata": {"name": "cpu", "namespace": "shop", "uid": "s"},
        "spec": {"maxReplicas": 5, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"}}}));
    let processes = json!({"poolbudget.dev/processes": "2"});
    let mut pod = granted(1, 0, 2);
    merge(&mut pod, &json!({"metadata": {"annotations": processes}}));
    let shop = shop.deployment("api", 1, &processes).pod("api-1-a", "api", &pod);
    shop.tells("api-1-a", "size 1 + 0 = 1 connection × 2 processes = 2 share");
    shop.tells(
        "api-1-a",
        "slots 5 = 5 replicas; the ceiling is maxReplicas 5 of HorizontalPodAutoscaler/cpu",
    );
}

#[test]
fn a_pod_above_its_share_is_told_what_may_become_of_it() {
    let shop = full(&json!({}));
    shop.tells(
        "api-1-a",
        "share 4 more than a pod of its workload gets now (1 + 1 = 2 connections); it may be evicted",
    );
    shop.tells("api-1-a", "next the operator will remove it to make room (it is next): it holds more");
    let shop = full(&json!({"evictionPolicy": "Forbidden"}));
    shop.tells("api-1-a", "evictionPolicy is Forbidden, so it stays until you delete it why");
    shop.tells(
        "web-1-c",
        "next evictionPolicy is Forbidden, so it waits until a pod of the budget terminates",
    );
}

#[test]
fn a_bare_pod_above_its_share_is_not_said_to_be_evicted() {
    let mut bare = granted(4, 2, 6);
    merge(&mut bare, &json!({"metadata": {"ownerReferences": null}}));
    let shop = full(&json!({})).pod("alone", "alone", &bare);
    shop.tells("alone", "nothing would redo its work, so it is not evicted");
}

#[test]
fn a_pod_below_its_share_keeps_its_size() {
    let shop = Shop::new(&json!({}), &settled("api", 2)).deployment("api", 2, &json!({})).pod(
        "api-1-a",
        "api",
        &granted(1, 1, 2),
    );
    shop.tells(
        "api-1-a",
        "a pod of its workload gets more now (2 + 2 = 4 connections); this pod keeps its size",
    );
}

#[test]
fn what_drains_is_told_with_the_time_that_is_left() {
    let shop = |by: &str| full(&json!({})).pod("api-1-a", "api", &leaving(granted(2, 4, 6), by));
    let in_time = shop("2026-11-21T17:00:20Z");
    in_time.tells("web-1-c", "next waiting is enough: Pod/api-1-a gives back 6 in 20 s at the latest");
    in_time.tells(
        "api-1-a",
        "draining it is terminating and counts as 6 until it is gone, in 20 s at the latest",
    );
    in_time.tells("deploy/api", "api-1-a draining 6 in 20 s at the latest");
    shop("2026-11-21T16:59:48Z").tells("web-1-c", "gives back 6, which is 12 s overdue: see its node");
}

#[test]
fn what_is_in_quarantine_is_told_with_the_time_that_is_left() {
    let mut status = settled("web", 0);
    status["ledger"]["quarantine"] = json!([
        {"uid": "g", "pod": "web-1-g", "connections": 13, "seconds": 40, "until": "2026-11-21T17:00:33Z"}]);
    let shop =
        Shop::new(&json!({}), &status).deployment("web", 1, &json!({})).pod("web-1-c", "web", &waiting());
    shop.tells("web-1-c", "waiting is enough: Pod/web-1-g is gone and gives back 13 in 33 s at the latest");
}

#[test]
fn a_pod_whose_elder_has_waited_long_is_told_which() {
    let spec = json!({"evictionPolicy": "Forbidden", "sizing": {"basis": "Current"}});
    let mut shop = Shop::new(&spec, &settled("api", 2))
        .deployment("api", 8, &json!({}))
        .pod("api-1-a", "api", &granted(2, 4, 6))
        .pod("api-1-b", "api", &granted(2, 4, 6));
    for name in ["api-1-c", "api-1-d", "api-1-e"] {
        shop = shop.pod(name, "api", &waiting());
    }
    shop.tells("api-1-e", "waits an older pod of budget main is served first");
    shop.tells(
        "api-1-e",
        "turn number 3 of 3 waiting pods, oldest first, after 60 s; it is an additional pod",
    );
    shop.tells("api-1-e", "next Pod/api-1-d has waited 60 s; after 30 s no younger pod may pass it");
}

#[test]
fn a_revision_that_makes_no_pods_any_more_says_nothing_of_its_workload() {
    let shop = Shop::new(&json!({}), &json!({})).deployment("api", 2, &json!({}));
    let old = |replicas: u32, pods: u32| {
        shop.see::<ReplicaSetView>(json!({
            "metadata": {"name": "api-0", "namespace": "shop", "uid": "api-0",
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "api", "uid": "api", "controller": true}]},
            "spec": {"replicas": replicas, "template": {"metadata": {"labels": {"poolbudget.dev/budget": "man"}},
                "spec": {"containers": [container()]}}},
            "status": {"replicas": pods},
        }));
        shop.told("deploy/api").contains("DbConnectionBudget man")
    };
    assert_eq!([old(1, 0), old(0, 1), old(0, 0)], [true, true, false]);
}

#[test]
fn that_no_operator_runs_is_told_where_it_is_known() {
    let nobody = Leader::Nobody("no operator runs".into());
    let never = Leader::Never("none ever ran".into());
    assert_eq!(not_running(&nobody, false), Some("no operator runs"));
    assert_eq!([not_running(&never, true), not_running(&never, false)], [Some("none ever ran"), None]);
    assert_eq!(
        [not_running(&Leader::Leads, true), not_running(&Leader::Unknown(String::new()), true)],
        [None, None]
    );
    let shop = Shop::new(&json!({}), &json!({}));
    assert!(shop.0.is_unanswered());
    assert!(!Shop::new(&json!({}), &json!({"observedGeneration": 1})).0.is_unanswered());
}

#[test]
fn what_would_be_granted_now_is_told_with_the_doubt_that_nobody_leads() {
    let shop = calm().pod("api-1-c", "api", &waiting()).deployment("api", 3, &json!({}));
    shop.tells(
        "api-1-c",
        "granting it fits and is granted 3 connections now; if it still waits after some seconds",
    );
}

#[test]
fn a_grant_on_its_way_is_told_as_such() {
    let mut status = settled("api", 1);
    status["ledger"]["grants"] = json!([{"uid": "api-1-c", "pod": "api-1-c", "workload": "Deployment/api",
        "poolSize": 2, "maxOverflow": 2, "connections": 4}]);
    let shop =
        Shop::new(&json!({}), &status).deployment("api", 1, &json!({})).pod("api-1-c", "api", &waiting());
    shop.tells("api-1-c", "granting 4 connections: the grant is recorded and on its way");
}

#[test]
fn a_mode_that_holds_nobody_is_told_and_no_eviction_is_threatened() {
    let shop = full(&json!({"mode": "Observe"}));
    shop.tells(
        "api-1-a",
        "the plan gives a pod of its workload 1 + 1 = 2 connections; mode Observe evicts no pod for that",
    );
    shop.tells("web-1-c", "granting mode Observe holds no pod back, so the operator opens its gate now");
}

#[test]
fn a_label_that_names_no_budget_is_told_of_pod_and_workload() {
    let shop = Shop::without_budget().deployment("api", 2, &json!({})).pod("api-1-c", "api", &waiting());
    for target in ["api-1-c", "deploy/api"] {
        shop.tells(
            target,
            "waits its label poolbudget.dev/budget names the DbConnectionBudget main, which does not",
        );
    }
}

#[test]
fn a_budget_that_cannot_be_read_is_told_with_the_field() {
    let shop = Shop::without_budget().deployment("api", 1, &json!({})).pod("api-1-c", "api", &waiting());
    shop.see::<DbConnectionBudget>(json!({
        "metadata": {"name": "main", "namespace": "shop", "uid": "b"}, "spec": {"limit": 5}}));
    shop.tells(
        "api-1-c",
        "poolbudget cannot read the DbConnectionBudget main; waiting for it to be fixed: spec.limit",
    );
}

#[test]
fn a_pod_whose_containers_have_ended_holds_nothing() {
    let mut over = granted(2, 2, 4);
    let ended = json!([{"name": "app", "state": {"terminated": {"exitCode": 0}}}]);
    merge(&mut over, &json!({"status": {"phase": "Succeeded", "containerStatuses": ended}}));
    calm().pod("api-1-a", "api", &over).tells("api-1-a", "ended all its containers have ended");
}

#[test]
fn a_workload_without_the_label_is_told_how_to_get_one() {
    let shop = Shop::without_budget();
    shop.see::<DeploymentView>(
        json!({"metadata": {"name": "api", "namespace": "shop", "uid": "a"}, "spec": {}}),
    );
    shop.tells("api", "kubectl label deployment api poolbudget.dev/budget=BUDGET");
}

#[test]
fn a_part_of_a_workload_is_explained_as_the_workload() {
    assert_eq!(calm().told("rs/api-1"), calm().told("deploy/api"));
}

#[test]
fn a_name_that_is_several_things_has_to_be_told_apart() {
    let shop = calm().pod("api", "api", &granted(1, 0, 1));
    let why = shop.find("api").expect_err("two").to_string();
    assert_eq!(why, "api is the name of Pod/api and Deployment/api: write which one you mean");
    assert!(shop.told("pod/api").starts_with("Pod/api "));
}

#[test]
fn what_is_not_there_is_told_with_where_to_look() {
    let why = calm().find("deploy/web").expect_err("none").to_string();
    assert_eq!(why, "namespace shop has no Deployment web; see kubectl get deployments -n shop");
    assert_eq!(calm().find("pod/web").expect("no error"), None);
}

#[test]
fn programs_read_the_same_point_by_point() {
    let told = full(&json!({})).find("web-1-c").expect("one").expect("something");
    let told = serde_json::to_value(told).expect("json");
    assert_eq!((&told[0]["state"], &told[0]["budget"]), (&"Waiting".into(), &"main".into()));
    let points = told[0]["points"].as_array().expect("points");
    let about: Vec<&str> = points.iter().filter_map(|point| point["about"].as_str()).collect();
    assert_eq!(about, ["budget", "workload", "processes", "share", "why", "slots", "sum", "turn", "next"]);
}

#[test]
fn an_app_of_another_profile_is_told_what_is_written_for_it() {
    let shop = |profile: &str| {
        let notes = json!({"poolbudget.dev/profile": profile});
        let mut pod = granted(4, 0, 4);
        merge(&mut pod, &json!({"metadata": {"annotations": notes}}));
        Shop::new(&json!({}), &settled("api", 1)).deployment("api", 1, &notes).pod("api-1-a", "api", &pod)
    };
    for target in ["deployment/api", "pod/api-1-a"] {
        shop("n8n").tells(target, "profile n8n: poolbudget writes DB_POSTGRESDB_POOL_SIZE");
        shop("Superset").tells(target, "profile Superset: counted, not limited: no variable sets its size");
        shop("Rails").tells(
            target,
            "profile Rails: poolbudget writes RAILS_MAX_THREADS, or the variables that its annotations name",
        );
        assert!(!shop("SQLAlchemy").told(target).contains("profile"), "{target}");
    }
}

#[test]
fn it_is_told_who_says_how_many_processes_there_are() {
    let annotated =
        Shop::new(&json!({}), &json!({})).deployment("api", 2, &json!({"poolbudget.dev/processes": "2"}));
    annotated.tells("api", "processes 2, from the annotation poolbudget.dev/processes");
    let mut runs = container();
    runs["command"] = json!(["gunicorn", "-w", "4", "app"]);
    let running = annotated.pod("api-1-a", "api", &json!({"spec": {"containers": [runs]}}));
    running.tells("api-1-a", "processes 4, from `gunicorn -w 4`");
}

mod borrowed;
mod groups;
