//! What is refused, what waits and says so, and what then goes on.

use serde_json::Value;
use testkit::eventually;
use testkit::objects::{budget, disruption_budget, nano_session};

use crate::installed::{Installed, SETTLES, SHOP};
use crate::main_job::governed;

#[tokio::test]
async fn a_label_that_names_no_budget_waits_says_so_and_goes_on_when_the_budget_appears() {
    let shop = Installed::start().await;
    shop.apply(&governed("api", 2).to_string()).await;
    shop.awaits_event("BudgetNotFound", "DbConnectionBudget main, which does not exist").await;
    assert_eq!(shop.recorder.totals(SHOP, "main").connections, 0);
    shop.nano_budget().await;
    shop.settles(&[("api", 2)]).await;
}

#[tokio::test]
async fn a_budget_deleted_while_pods_wait_strands_them_audibly_until_it_is_back() {
    let shop = Installed::start().await;
    shop.nano_budget().await;
    shop.apply(&governed("api", 2).to_string()).await;
    shop.settles(&[("api", 2)]).await;
    shop.scale("api", 20).await;
    shop.awaits("Feasible", "False", "DoesNotFit").await;
    shop.awaits_event("NoSlot", "waiting for one to terminate").await;
    shop.kubectl(&["delete", "dbcb", "main"]).await;
    shop.awaits_event("BudgetNotFound", "which does not exist").await;
    newest_events_are_sorted_last(&shop).await;
    shop.scale("api", 4).await;
    shop.nano_budget().await;
    shop.settles(&[("api", 4)]).await;
}

#[tokio::test]
async fn a_limit_lowered_under_what_is_committed_makes_room_one_by_one() {
    let shop = Installed::start().await;
    // The old limit stays the recorder's: it judges rises, and there must be none over the old one.
    shop.nano_budget().await;
    shop.apply(&governed("api", 4).to_string()).await;
    shop.settles(&[("api", 4)]).await;
    let mut spec = nano_session(2);
    spec["limit"] = serde_json::json!({"connections": 8});
    shop.apply(&budget(SHOP, "main", &spec)).await;
    eventually(SETTLES, "at most 6 connections are held", async || {
        let held = shop.recorder.totals(SHOP, "main").connections;
        if held <= 6 { Ok(()) } else { Err(format!("{held} are held")) }
    })
    .await;
    shop.recorder.limit(SHOP, "main", 6);
    shop.settles(&[("api", 4)]).await;
}

#[tokio::test]
async fn a_disruption_budget_is_never_bypassed_and_named_until_it_goes() {
    let shop = Installed::start().await;
    shop.nano_budget().await;
    shop.apply(&governed("api", 2).to_string()).await;
    shop.settles(&[("api", 2)]).await;
    shop.apply(&disruption_budget(SHOP, "api", "maxUnavailable", 0)).await;
    // Two pods of four stand; five pods have slots for two each, so the old ones have to shrink.
    shop.scale("api", 5).await;
    let message = shop.awaits("Blocked", "True", "PodDisruptionBudget").await;
    assert!(message.contains("PodDisruptionBudget api"), "{message}");
    shop.recorder.assert_never_over().await;
    shop.kubectl(&["delete", "pdb", "api"]).await;
    shop.settles(&[("api", 5)]).await;
    shop.awaits("Blocked", "False", "NotBlocked").await;
}

/// The latest time that the API server takes, and later than the operator can count.
const FAR: &str = "9999-12-31T23:59:59Z";

#[tokio::test]
async fn an_object_that_cannot_be_read_holds_up_nothing_else_and_says_so() {
    let mut shop = Installed::start().await;
    shop.nano_budget().await;
    shop.apply(&governed("api", 2).to_string()).await;
    shop.settles(&[("api", 2)]).await;
    // Whoever may create a Deployment anywhere may write any time into its template.
    let container = serde_json::json!({"name": "app", "image": "app:1"});
    let odd = serde_json::json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "odd", "namespace": "default"},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "odd"}},
            "template": {"metadata": {"labels": {"app": "odd"}, "creationTimestamp": FAR}, "spec": {"containers": [container]}}},
    });
    shop.apply(&odd.to_string()).await;
    let stored = "jsonpath={.spec.template.metadata.creationTimestamp}";
    assert_eq!(shop.kubectl(&["get", "deployment", "odd", "-n", "default", "-o", stored]).await, FAR);
    shop.apply(&budget(SHOP, "odd", &nano_session(2))).await;
    let status = serde_json::json!({"status": {"ledger": {"quarantine": [{"uid": "u", "pod": "p", "connections": 1, "until": FAR}]}}});
    shop.write_status("odd", &status.to_string()).await;
    shop.awaits_event("BudgetUnreadable", "status.ledger.quarantine[0].until").await;
    shop.scale("api", 4).await;
    shop.settles(&[("api", 4)]).await;
    // In its first list everything is there from the start.
    let operator = shop.operators.first_mut().expect("an operator");
    operator.kill().unwrap();
    operator.start_again().unwrap();
    shop.scale("api", 3).await;
    shop.settles(&[("api", 3)]).await;
    let mended = r#"{"status":{"ledger":{"quarantine":null}}}"#;
    shop.write_status("odd", mended).await;
    shop.apply(&governed("web", 1).label("poolbudget.dev/budget", "odd").to_string()).await;
    shop.complete("web", 1).await;
}

/// As people ask for events: by a field that only core/v1 events have.
async fn newest_events_are_sorted_last(shop: &Installed) {
    let listed = shop.kubectl(&["get", "events", "--sort-by=.lastTimestamp", "-o", "json"]).await;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let ours = |event: &&Value| event["source"]["component"] == "poolbudget";
    let events: Vec<&Value> = listed["items"].as_array().unwrap().iter().filter(ours).collect();
    for reason in ["NoSlot", "BudgetNotFound"] {
        assert!(events.iter().any(|event| event["reason"] == reason), "no {reason}: {listed:#}");
    }
    for event in &events {
        assert!(event["firstTimestamp"].is_string() && event["lastTimestamp"].is_string(), "{event:#}");
    }
    assert!(events.is_sorted_by_key(|event| event["lastTimestamp"].as_str()), "{listed:#}");
}
