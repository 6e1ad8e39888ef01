//! The resource as the real API server takes it: accepted and refused manifests, defaults, explanations.

use poolbudget::api::BudgetKey;
use poolbudget::controller::gateway::{Gateway, GatewayError, KubeGateway};
use poolbudget::controller::lease::Leadership;
use poolbudget::controller::quarantine::MOST;
use poolbudget::controller::status::WORKLOADS;
use poolbudget::controller::view::IN_FLIGHT;
use poolbudget::telemetry::metrics::Metrics;
use serde_json::{Value, json};
use testkit::Cluster;
use testkit::objects::budget;
use tokio::sync::OnceCell;

use crate::world::SHARED;

/// Whoever comes first applies it; two that create it at the same time are one too many.
static CRD: OnceCell<()> = OnceCell::const_new();

/// The cluster with the CRD; each test has a namespace of its own.
async fn cluster(namespace: &str) -> &'static Cluster {
    let cluster = SHARED.cluster().await.unwrap();
    let apply = async || {
        cluster.apply(include_str!("../../crds/dbconnectionbudgets.poolbudget.dev.yaml")).await.unwrap();
        let crd = "crd/dbconnectionbudgets.poolbudget.dev";
        cluster.kubectl(&["wait", "--for=condition=Established", crd, "--timeout=60s"]).await.unwrap();
    };
    CRD.get_or_init(apply).await;
    cluster.create_namespace(namespace).await.unwrap();
    cluster
}

fn accepted() -> Vec<(&'static str, Value)> {
    vec![
        ("plain number", json!({"limit": {"connections": 15}})),
        (
            "free plan",
            json!({"limit": {"supabase": {"plan": "Free", "connection": "Session"}}, "reserved": 2}),
        ),
        ("compute size", json!({"limit": {"supabase": {"compute": "2XL", "connection": "Transaction"}}})),
        (
            "pool size",
            json!({"limit": {"supabase": {"compute": "Nano", "connection": "Session", "poolSize": 30}}, "reserved": 20}),
        ),
        (
            "enterprise with a pool size",
            json!({"limit": {"supabase": {"plan": "Enterprise", "connection": "Session", "poolSize": 40}}}),
        ),
        (
            "large reserves more than small has",
            json!({"limit": {"supabase": {"compute": "Large", "connection": "Session"}}, "reserved": 19}),
        ),
        ("postgres", json!({"limit": {"postgres": {"maxConnections": 100}}})),
        ("nothing reserved", json!({"limit": {"connections": 1}, "reserved": 0})),
        (
            "read from a server",
            json!({"limit": {"postgres": {"secretRef": {"name": "db", "key": "url"}}}, "reserved": 50}),
        ),
        (
            "read from a server of an own authority",
            json!({"limit": {"postgres": {"secretRef": {"name": "db", "key": "url"}, "caSecretRef": {"name": "ca", "key": "ca.crt"}}}}),
        ),
        (
            "read from a project",
            json!({"limit": {"supabase": {"connection": "Session", "project": {"ref": "abcdefghijklmnopqrst",
                "tokenSecretRef": {"name": "supabase", "key": "token"}}}}, "reserved": 20}),
        ),
        (
            "read from a project and its metrics",
            json!({"limit": {"supabase": {"connection": "Session", "project": {"ref": "abcdefghijklmnopqrst",
                "tokenSecretRef": {"name": "supabase", "key": "token"},
                "metricsSecretRef": {"name": "supabase", "key": "secret-key"}}}}}),
        ),
        (
            "verified",
            json!({"limit": {"connections": 15, "verify": {"postgres": {"secretRef": {"name": "db", "key": "url"}}}}}),
        ),
        (
            "everything",
            json!({"limit": {"connections": 60}, "reserved": 5, "mode": "Observe",
                "sizing": {"basis": "Ladder", "surge": "Full", "overflowRatio": 0}, "infeasiblePolicy": "Deny", "evictionPolicy": "Forbidden",
                "workloads": [{"name": "api", "kind": "Deployment", "weight": 2, "connectionsPerProcess": {"min": 2, "max": 20}, "maxReplicas": 10},
                    {"name": "api", "kind": "StatefulSet"}]}),
        ),
    ]
}

fn refused() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        ("no limit", json!({"limit": {}}), "set exactly one of"),
        (
            "two limits",
            json!({"limit": {"connections": 15, "postgres": {"maxConnections": 100}}}),
            "set exactly one of",
        ),
        (
            "plan and compute",
            json!({"limit": {"supabase": {"plan": "Pro", "compute": "Small", "connection": "Session"}}}),
            "set exactly one of limit.supabase.plan",
        ),
        (
            "neither plan nor compute",
            json!({"limit": {"supabase": {"connection": "Session"}}}),
            "set exactly one of limit.supabase.plan",
        ),
        (
            "enterprise alone",
            json!({"limit": {"supabase": {"plan": "Enterprise", "connection": "Session"}}}),
            "the Enterprise plan has no fixed limit",
        ),
        (
            "described and read",
            json!({"limit": {"postgres": {"maxConnections": 100, "secretRef": {"name": "db", "key": "url"}}}}),
            "set exactly one of limit.postgres.maxConnections, limit.postgres.secretRef",
        ),
        (
            "read with a reserve of its own",
            json!({"limit": {"postgres": {"superuserReserved": 3, "secretRef": {"name": "db", "key": "url"}}}}),
            "leave superuserReserved out",
        ),
        (
            "an authority of nobody",
            json!({"limit": {"postgres": {"maxConnections": 100, "caSecretRef": {"name": "ca", "key": "ca.crt"}}}}),
            "caSecretRef goes with limit.postgres.secretRef",
        ),
        (
            "no reference of a project",
            json!({"limit": {"supabase": {"connection": "Session", "project": {"ref": "../../v1/other",
                "tokenSecretRef": {"name": "supabase", "key": "token"}}}}}),
            "spec.limit.supabase.project.ref",
        ),
        (
            "read with a pool size",
            json!({"limit": {"supabase": {"connection": "Session", "poolSize": 30, "project": {"ref": "abcdefghijklmnopqrst",
                "tokenSecretRef": {"name": "supabase", "key": "token"}}}}}),
            "leave poolSize out",
        ),
        (
            "metrics of a project that are not needed",
            json!({"limit": {"supabase": {"connection": "Direct", "project": {"ref": "abcdefghijklmnopqrst",
                "tokenSecretRef": {"name": "supabase", "key": "token"},
                "metricsSecretRef": {"name": "supabase", "key": "secret-key"}}}}}),
            "leave metricsSecretRef out",
        ),
        (
            "metrics of a verified project that are not needed",
            json!({"limit": {"connections": 15, "verify": {"supabase": {"connection": "Direct",
                "project": {"ref": "abcdefghijklmnopqrst", "tokenSecretRef": {"name": "supabase", "key": "token"},
                "metricsSecretRef": {"name": "supabase", "key": "secret-key"}}}}}}),
            "leave metricsSecretRef out",
        ),
        (
            "read and verified",
            json!({"limit": {"postgres": {"secretRef": {"name": "db", "key": "url"}},
                "verify": {"postgres": {"secretRef": {"name": "db", "key": "url"}}}}}),
            "a limit that is read needs no limit.verify",
        ),
        (
            "verified nowhere",
            json!({"limit": {"connections": 15, "verify": {}}}),
            "set exactly one of limit.verify.postgres, limit.verify.supabase",
        ),
        (
            "unknown plan",
            json!({"limit": {"supabase": {"plan": "Gold", "connection": "Session"}}}),
            "supported values",
        ),
        (
            "pool size out of session mode",
            json!({"limit": {"supabase": {"plan": "Pro", "connection": "Direct", "poolSize": 30}}}),
            "in session mode only",
        ),
        (
            "all reserved",
            json!({"limit": {"connections": 15}, "reserved": 15}),
            "reserved must be smaller than limit.connections",
        ),
        (
            "all of nano reserved",
            json!({"limit": {"supabase": {"plan": "Free", "connection": "Session"}}, "reserved": 15}),
            "reserved must be smaller than the pool size",
        ),
        (
            "all of large reserved",
            json!({"limit": {"supabase": {"compute": "Large", "connection": "Session"}}, "reserved": 20}),
            "reserved must be smaller than the pool size",
        ),
        (
            "all of postgres reserved",
            json!({"limit": {"postgres": {"maxConnections": 10}}, "reserved": 7}),
            "reserved must be smaller than maxConnections",
        ),
        (
            "superusers take all",
            json!({"limit": {"postgres": {"maxConnections": 3, "superuserReserved": 3}}, "reserved": 0}),
            "superuserReserved must be smaller",
        ),
        (
            "negative reserve",
            json!({"limit": {"connections": 15}, "reserved": -1}),
            "greater than or equal to 0",
        ),
        ("zero limit", json!({"limit": {"connections": 0}, "reserved": 0}), "greater than or equal to 1"),
        ("text as a number", json!({"limit": {"connections": "fifteen"}}), "must be of type integer"),
        (
            "min above max",
            json!({"limit": {"connections": 15}, "workloads": [{"name": "api", "connectionsPerProcess": {"min": 5, "max": 4}}]}),
            "connectionsPerProcess.min must not be larger",
        ),
        (
            "min above max for all",
            json!({"limit": {"connections": 15}, "defaults": {"connectionsPerProcess": {"min": 5, "max": 4}}}),
            "connectionsPerProcess.min must not be larger",
        ),
        (
            "weight zero",
            json!({"limit": {"connections": 15}, "workloads": [{"name": "api", "weight": 0}]}),
            "greater than or equal to 1",
        ),
        (
            "size zero",
            json!({"limit": {"connections": 15}, "workloads": [{"name": "api", "connectionsPerProcess": {"min": 0}}]}),
            "greater than or equal to 1",
        ),
        (
            "a workload twice",
            json!({"limit": {"connections": 15}, "workloads": [{"name": "api"}, {"name": "api"}]}),
            "Duplicate value",
        ),
        (
            "unknown kind",
            json!({"limit": {"connections": 15}, "workloads": [{"name": "api", "kind": "Server"}]}),
            "Unsupported value",
        ),
        ("unknown mode", json!({"limit": {"connections": 15}, "mode": "Fast"}), "Unsupported value"),
    ]
}

#[tokio::test]
async fn good_budgets_are_accepted() {
    let cluster = cluster("budgets-accepted").await;
    for (index, (name, spec)) in accepted().into_iter().enumerate() {
        let manifest = budget("budgets-accepted", &format!("b{index}"), &spec);
        let answer = cluster.apply(&manifest).await;
        assert!(answer.is_ok(), "{name}: {:#}", answer.unwrap_err());
    }
}

#[tokio::test]
async fn bad_budgets_are_refused_with_a_sentence_that_says_what_to_do() {
    let cluster = cluster("budgets-refused").await;
    for (name, spec, sentence) in refused() {
        let error = match cluster.apply(&budget("budgets-refused", "main", &spec)).await {
            Ok(_) => panic!("{name} was accepted"),
            Err(error) => format!("{error:#}"),
        };
        assert!(error.contains(sentence), "{name}: {error}");
    }
}

#[tokio::test]
async fn defaults_are_filled_in_and_fields_explain_themselves() {
    let cluster = cluster("budgets-defaults").await;
    cluster
        .apply(&budget("budgets-defaults", "main", &json!({"limit": {"postgres": {"maxConnections": 100}}})))
        .await
        .unwrap();
    let text =
        cluster.kubectl(&["get", "dbcb", "main", "-n", "budgets-defaults", "-o", "json"]).await.unwrap();
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        found["spec"],
        json!({"limit": {"postgres": {"maxConnections": 100}}, "reserved": 1, "mode": "Gate",
            "sizing": {"basis": "Ceiling", "surge": "Minimal", "overflowRatio": 2},
            "infeasiblePolicy": "Wait", "evictionPolicy": "Allowed", "lingerSeconds": 0})
    );
    let explained = cluster.kubectl(&["explain", "dbcb.spec.reserved"]).await.unwrap();
    assert!(explained.contains("keep them free for a migration"), "{explained}");
    let columns = cluster.kubectl(&["get", "dbbudget", "-n", "budgets-defaults"]).await.unwrap();
    let head: Vec<&str> = columns.lines().next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(head, ["NAME", "LIMIT", "COMMITTED", "WAITING", "READY", "AGE"]);
}

#[tokio::test]
async fn a_budget_that_no_controller_has_seen_is_not_taken_for_a_ready_one() {
    let cluster = cluster("budgets-unseen").await;
    cluster.apply(&budget("budgets-unseen", "main", &json!({"limit": {"connections": 15}}))).await.unwrap();
    let of_ready = "jsonpath={.status.conditions[?(@.type==\"Ready\")]}";
    let text =
        cluster.kubectl(&["get", "dbcb", "main", "-n", "budgets-unseen", "-o", of_ready]).await.unwrap();
    let ready: Value = serde_json::from_str(&text).unwrap();
    assert_eq!([&ready["status"], &ready["reason"]], [&json!("Unknown"), &json!("Pending")]);
    let row =
        cluster.kubectl(&["get", "dbcb", "main", "-n", "budgets-unseen", "--no-headers"]).await.unwrap();
    assert!(row.split_whitespace().any(|cell| cell == "Unknown"), "{row}");
    let wait = ["wait", "--for=condition=Ready", "dbcb/main", "-n", "budgets-unseen", "--timeout=1s"];
    assert!(cluster.kubectl(&wait).await.is_err());
}

/// As large as a status becomes: as many of each part as are named, with the longest names and numbers that there are.
fn largest_status() -> Value {
    let name = "x".repeat(253);
    let uid = "0b9c1ac4-6c1f-4f0f-9c11-0123456789ab";
    let date = "2026-11-27T12:00:00.123456789Z";
    let workload = |n: usize| {
        json!({"kind": "StatefulSet", "name": format!("{n:05}{}", &name[5..]), "replicas": i32::MAX, "ceiling": i32::MAX,
            "largestReplicas": i32::MAX, "slots": i32::MAX, "poolSize": i32::MAX,
            "maxOverflow": i32::MAX, "perPod": i64::MAX, "committed": i64::MAX, "granted": i32::MAX, "waiting": i32::MAX,
            "foreign": {"pods": i32::MAX, "connections": i64::MAX}})
    };
    let baseline = |n: usize| {
        json!({"kind": "StatefulSet", "name": format!("{n:05}{}", &name[5..]), "replicas": i32::MAX, "foreign": i32::MAX,
            "ladder": {"level": i32::MAX, "lowSince": date}})
    };
    let grant = json!({"uid": uid, "pod": name, "workload": format!("StatefulSet/{name}"), "poolSize": i32::MAX,
        "maxOverflow": i32::MAX, "connections": i64::MAX});
    let gone = |n: usize| {
        json!({"uid": format!("{n:05}{}", &name[5..]), "pod": name, "node": name, "cause": "NotSeenToEnd",
            "connections": i64::MAX, "seconds": i64::MAX, "until": date})
    };
    let node = |n: usize| json!({"name": format!("{n:05}{}", &name[5..]), "connections": i64::MAX});
    let condition = |n: usize| {
        json!({"type": format!("Condition{n}"), "status": "False", "reason": "Reason", "message": "x".repeat(10_000),
            "lastTransitionTime": "2026-11-27T12:00:00Z", "observedGeneration": i64::MAX})
    };
    let pods = json!({"desired": i32::MAX, "granted": i32::MAX, "waiting": i32::MAX, "draining": i32::MAX, "foreign": i32::MAX});
    let ledger = json!({"epoch": i64::MAX, "mode": "Gate", "highWater": i64::MAX,
        "nodes": (0..MOST).map(node).collect::<Vec<_>>(), "grants": vec![grant; IN_FLIGHT],
        "quarantine": (0..MOST).map(gone).collect::<Vec<_>>(),
        "baselines": (0..WORKLOADS).map(baseline).collect::<Vec<_>>()});
    json!({"observedGeneration": i64::MAX, "usable": i64::MAX, "committed": i64::MAX, "pods": pods, "moreWorkloads": i32::MAX,
        "limit": {"connections": i64::MAX, "source": "x".repeat(200)},
        "workloads": (0..WORKLOADS).map(workload).collect::<Vec<_>>(),
        "conditions": (0..10).map(condition).collect::<Vec<_>>(), "ledger": ledger})
}

#[tokio::test]
async fn the_largest_status_that_is_ever_written_is_taken_and_one_that_is_larger_is_refused_for_good() {
    let cluster = cluster("largest").await;
    cluster.apply(&budget("largest", "main", &json!({"limit": {"connections": 15}}))).await.unwrap();
    let client = cluster.client().await.unwrap();
    let gateway = KubeGateway::new(client, Leadership::unconditional(), "test", Metrics::default());
    let key = BudgetKey::new("largest", "main");
    let mut held = gateway.budget(&key).await.unwrap().expect("the budget");
    // Each part anew: the old and the new stand in one request of the API server to its store.
    for round in 0..2 {
        let mut status = largest_status();
        status["ledger"]["epoch"] = json!(round);
        held.status = Some(serde_json::from_value(status).unwrap());
        held = gateway.replace_status(&held).await.unwrap();
    }
    let status = held.status.as_mut().unwrap();
    assert_eq!(
        (status.workloads.len(), status.ledger.grants.len(), status.ledger.quarantine.len()),
        (WORKLOADS, IN_FLIGHT, MOST)
    );
    let more: Vec<_> = status.workloads.iter().cycle().take(5_000).cloned().collect();
    status.workloads = more;
    let refused = gateway.replace_status(&held).await;
    assert!(matches!(refused, Err(GatewayError::Refused { .. })), "{refused:?}");
}
