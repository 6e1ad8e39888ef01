//! The end of the chaos: everything is put into a state that fits, and has to settle.
//!
//! In: the administrator's hand, the recorder. Out: how long it took, or what did not come to rest within [`SETTLES`].
//! What the operator says of itself must be true then: its sums are compared with the recorder's.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use serde_json::{Value, json};
use testkit::bill::Account;
use testkit::objects::{BUDGET_LABEL, DRAIN_MS};
use tokio::time::{Instant, sleep};

use super::actions::{Action, Hand};
use super::book::Figures;
use super::fleet::{BUDGETS, Budget, SHOPS, Shop};
use super::patience::patiently;
use super::recorder::Recorder;

/// How long everything may take to settle: pods drain for 15 seconds, a superseded revision that never becomes ready is
/// left alone for 60, and one pod goes after the other.
pub const SETTLES: Duration = Duration::from_secs(240);

const TICK: Duration = Duration::from_millis(250);

/// Ends all strife and waits until everything has settled.
pub async fn settle(hand: &Hand, recorder: &Recorder) -> Result<Duration> {
    let began = Instant::now();
    patiently("put the fleet into a state that fits", async || Ok(appease(hand).await?)).await?;
    loop {
        let Err(missing) = look(hand, recorder).await else { return Ok(began.elapsed()) };
        if began.elapsed() >= SETTLES {
            bail!("not settled within {SETTLES:?}: {missing}");
        }
        sleep(TICK).await;
    }
}

async fn appease(hand: &Hand) -> kube::Result<()> {
    for budget in &BUDGETS {
        hand.budget(budget, &budget.spec()).await?;
    }
    for shop in &SHOPS {
        hand.unprotect(shop).await?;
        if let Some((min, max)) = shop.autoscaler {
            let bounds = json!({"spec": {"minReplicas": min, "maxReplicas": max}});
            hand.merge::<HorizontalPodAutoscaler>(shop, &bounds).await?;
        }
        hand.shop(shop, &last_state(shop)).await?;
    }
    Ok(())
}

/// Adopted, of one process, with an image that nobody has seen: pods that passed the gate go with their revision.
fn last_state(shop: &Shop) -> Value {
    let container = json!({"name": "app", "image": "shop/app:last"});
    json!({
        "metadata": {
            "labels": {BUDGET_LABEL: shop.budget.name},
            "annotations": {"poolbudget.dev/processes": "1"},
        },
        "spec": {"replicas": shop.replicas, "template": {
            "metadata": {"annotations": {DRAIN_MS: shop.drain.to_string()}},
            "spec": {"containers": [container]},
        }},
    })
}

/// What is missing.
async fn look(hand: &Hand, recorder: &Recorder) -> Result<(), String> {
    for shop in &SHOPS {
        let found = hand.find(shop).await.map_err(|error| error.to_string())?;
        if found.spec.replicas != i32::try_from(shop.replicas).ok() {
            // Its autoscaler had read its old bounds and wrote once more.
            let scaled = hand.perform(&Action::Scale(shop, shop.replicas)).await;
            return Err(format!("{shop} is scaled once more: {scaled:?}"));
        }
        complete(&found, shop.replicas).map_err(|missing| format!("{shop}: {missing}"))?;
    }
    let mut budgets = Vec::new();
    for budget in &BUDGETS {
        budgets.push(hand.find_budget(budget).await.map_err(|error| error.to_string())?);
    }
    recorder.caught_up().await.map_err(|error| format!("{error:#}"))?;
    let seen: BTreeMap<Account, Figures> = recorder.judge().figures(recorder.now()).collect();
    for (budget, said) in BUDGETS.iter().zip(&budgets) {
        let account = Account::of(budget.namespace, budget.name);
        let figures = seen.get(&account).copied().unwrap_or_default();
        at_rest(budget, said, &figures).map_err(|missing| format!("{account}: {missing}"))?;
    }
    Ok(())
}

/// All its pods are there, ready and of its newest revision, and no others.
fn complete(deployment: &Deployment, replicas: u32) -> Result<(), String> {
    let status = deployment.status.clone().unwrap_or_default();
    if status.observed_generation < deployment.metadata.generation {
        return Err("the Deployment is about to move".to_owned());
    }
    let counts =
        [status.replicas, status.updated_replicas, status.ready_replicas].map(Option::unwrap_or_default);
    let wanted = i32::try_from(replicas).unwrap_or(i32::MAX);
    if counts == [wanted; 3] {
        Ok(())
    } else {
        Err(format!("its pods, those of them up to date, and ready are {counts:?} of {wanted}"))
    }
}

/// The budget says that it has settled, and says of itself what the recorder has seen.
fn at_rest(budget: &Budget, said: &Value, seen: &Figures) -> Result<(), String> {
    let status = said.get("status").unwrap_or(&Value::Null);
    for kind in ["Accepted", "Feasible", "Settled"] {
        says(status, kind)?;
    }
    let pods: u32 = SHOPS.iter().filter(|shop| shop.budget == budget).map(|shop| shop.replicas).sum();
    let expected = json!({
        "observedGeneration": said.pointer("/metadata/generation"),
        "usable": seen.usable, "committed": seen.granted, "pods": {"desired": pods, "granted": pods, "waiting": 0, "draining": 0, "foreign": 0},
    });
    for (key, value) in expected.as_object().into_iter().flatten() {
        let is = status.get(key).unwrap_or(&Value::Null);
        if is != value {
            return Err(format!("status.{key} is {is}, and should be {value}"));
        }
    }
    for list in ["grants", "quarantine"] {
        let entries = status.pointer(&format!("/ledger/{list}")).and_then(Value::as_array);
        if let Some(entries) = entries.filter(|list| !list.is_empty()) {
            return Err(format!("status.ledger.{list} has {} entries", entries.len()));
        }
    }
    let all_free = budget.limit - budget.reserved;
    let whole = Figures {
        limit: Some(u64::from(all_free)),
        usable: u64::from(all_free),
        noticed: u64::from(all_free),
        running: usize::try_from(pods).unwrap_or(usize::MAX),
        held: seen.granted,
        granted: seen.granted,
        waiting: 0,
        escaped: 0,
    };
    if *seen == whole { Ok(()) } else { Err(format!("the recorder sees {seen:?}, and should see {whole:?}")) }
}

fn says(status: &Value, kind: &str) -> Result<(), String> {
    let conditions = status.get("conditions").and_then(Value::as_array);
    let found = conditions.into_iter().flatten().find(|it| it.get("type").is_some_and(|it| it == kind));
    let found = found.ok_or_else(|| format!("it does not say whether it is {kind}"))?;
    let text = |key: &str| found.get(key).and_then(Value::as_str).unwrap_or_default();
    if text("status") == "True" {
        Ok(())
    } else {
        Err(format!("{kind}={} {}: {}", text("status"), text("reason"), text("message")))
    }
}
