//! What is refused, what waits and says so, and what then goes on.

use crate::installed::{Installed, SETTLES, SHOP};
use crate::main_job::governed;
use crate::support::eventually;
use crate::support::objects::{budget, disruption_budget, nano_session};

/// Events about the pods of the shop, as `reason: note`.
async fn events(shop: &Installed) -> String {
    let format = "jsonpath={range .items[*]}{.involvedObject.kind}/{.involvedObject.name} {.reason}: {.message}{\"\\n\"}{end}";
    shop.kubectl(&["get", "events", "-o", format]).await
}

async fn awaits_event(shop: &Installed, reason: &str, part: &str) {
    eventually(SETTLES, &format!("an event {reason} with {part:?}"), async || {
        let all = events(shop).await;
        let found = all.lines().any(|line| line.contains(&format!(" {reason}: ")) && line.contains(part));
        if found { Ok(()) } else { Err(all) }
    })
    .await;
}

#[tokio::test]
async fn a_label_that_names_no_budget_waits_says_so_and_goes_on_when_the_budget_appears() {
    let shop = Installed::start().await;
    shop.apply(&governed("api", 2).to_string()).await;
    awaits_event(&shop, "BudgetNotFound", "DbConnectionBudget main, which does not exist").await;
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
    awaits_event(&shop, "NoSlot", "it waits for one of them to go").await;
    shop.kubectl(&["delete", "dbcb", "main"]).await;
    awaits_event(&shop, "BudgetNotFound", "which does not exist").await;
    shop.scale("api", 4).await;
    shop.nano_budget().await;
    shop.settles(&[("api", 4)]).await;
}

#[tokio::test]
async fn what_this_version_does_not_do_is_said_and_never_silently_ignored() {
    let shop = Installed::start().await;
    let mut spec = nano_session(2);
    spec["mode"] = "Rollout".into();
    shop.apply(&budget(SHOP, "main", &spec)).await;
    let message = shop.awaits("Accepted", "False", "UnsupportedMode").await;
    assert!(message.contains("set mode: Gate"), "{message}");
    shop.apply(&governed("api", 1).to_string()).await;
    awaits_event(&shop, "BudgetNotAccepted", "mode Rollout is not implemented").await;

    shop.nano_budget().await;
    shop.apply(&budget(
        SHOP,
        "main",
        &serde_json::json!({"limit": {"connections": 15}, "reserved": 2, "mode": "Gate",
        "infeasible": "Deny", "workloads": [{"kind": "StatefulSet", "name": "db"}]}),
    ))
    .await;
    let message = shop.awaits("Accepted", "False", "Unsupported").await;
    assert!(message.contains("infeasible: Deny is not implemented"), "{message}");
    assert!(message.contains("StatefulSet/db"), "{message}");
    shop.settles(&[("api", 1)]).await;
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
