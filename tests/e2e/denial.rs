//! `infeasiblePolicy: Deny`: what can never fit is refused when it is asked for, whoever asks.

use serde_json::{Value, json};
use testkit::objects::{autoscaler, budget, nano_session};
use testkit::{Version, eventually};

use crate::installed::{Installed, SETTLES, SHOP, on_every_version};
use crate::main_job::governed;

on_every_version! {
    more_replicas_than_can_ever_fit_are_refused_with_the_number_that_fits,
    who_is_above_already_may_shrink_and_change_everything_else,
}

/// 13 usable, and a budget that denies.
fn denying() -> Value {
    let mut spec = nano_session(2);
    spec["infeasiblePolicy"] = json!("Deny");
    spec
}

/// A shop whose api runs with four pods beside a web of two.
async fn shop(version: Version) -> Installed {
    let shop = Installed::start_on(version).await;
    shop.recorder.limit(SHOP, "main", 13);
    shop.apply(&budget(SHOP, "main", &denying())).await;
    shop.apply(&governed("api", 4).to_string()).await;
    shop.apply(&governed("web", 2).rolling(0, 1).to_string()).await;
    shop.settles(&[("api", 4), ("web", 2)]).await;
    shop
}

/// What the budget states as the most replicas of a workload.
async fn largest(shop: &Installed, name: &str) -> Value {
    let budget = shop.budget().await;
    let workloads = budget["status"]["workloads"].as_array().cloned().unwrap_or_default();
    let found = workloads.iter().find(|workload| workload["name"] == name);
    found.map_or(Value::Null, |workload| workload["largestReplicas"].clone())
}

async fn until_largest(shop: &Installed, name: &str, expected: Value) {
    eventually(SETTLES, &format!("the largest replicas of {name} are {expected}"), async || {
        let stated = largest(shop, name).await;
        if stated == expected { Ok(()) } else { Err(stated.to_string()) }
    })
    .await;
}

/// kubectl in the shop, which must be refused; gives what it said.
async fn refused(shop: &Installed, args: &[&str]) -> String {
    let args: Vec<&str> = ["-n", SHOP].iter().chain(args).copied().collect();
    format!("{:#}", shop.cluster.kubectl(&args).await.unwrap_err())
}

/// `spec.replicas` of a Deployment.
async fn replicas(shop: &Installed, name: &str) -> String {
    shop.kubectl(&["get", "deployment", name, "-o", "jsonpath={.spec.replicas}"]).await
}

const SENTENCE: &str = "the budget denies replicas that can never fit; beside the other workloads of main at \
                        most 11 of Deployment/api fit, and 12 are asked for";

async fn more_replicas_than_can_ever_fit_are_refused_with_the_number_that_fits(version: Version) {
    let shop = shop(version).await;
    assert_eq!((largest(&shop, "api").await, largest(&shop, "web").await), (json!(11), json!(9)));
    // The policy may be in force a moment later than the one of the gate; a dry run tells.
    let scale = ["scale", "deployment", "api", "--replicas=12"];
    eventually(SETTLES, "the denial is in force", async || {
        let tried = [&["-n", SHOP][..], &scale, &["--dry-run=server"]].concat();
        shop.cluster.kubectl(&tried).await.map_or(Ok(()), |_| Err("12 replicas pass".to_owned()))
    })
    .await;
    let said = refused(&shop, &scale).await;
    assert!(said.contains(SENTENCE), "{said}");
    let error = shop.cluster.apply(&governed("api", 12).to_string()).await.unwrap_err();
    assert!(format!("{error:#}").contains(SENTENCE), "{error:#}");
    shop.apply(&governed("api", 11).to_string()).await;
    shop.settles(&[("api", 11), ("web", 2)]).await;

    // An autoscaler asks again and again; its workload stays as it is until the budget has room.
    shop.apply(&autoscaler(SHOP, "api", 12, 20)).await;
    eventually(SETTLES, "the autoscaler is refused", async || {
        let path = "jsonpath={.status.conditions[?(@.type==\"AbleToScale\")].message}";
        let said = shop.try_kubectl(&["get", "hpa", "api", "-o", path]).await?;
        if said.contains(SENTENCE) { Ok(()) } else { Err(said) }
    })
    .await;
    assert_eq!(replicas(&shop, "api").await, "11");
    shop.scale("web", 1).await;
    shop.settles(&[("api", 12), ("web", 1)]).await;
}

async fn who_is_above_already_may_shrink_and_change_everything_else(version: Version) {
    let shop = shop(version).await;
    shop.scale("api", 8).await;
    shop.settles(&[("api", 8), ("web", 2)]).await;
    let mut spec = denying();
    spec["limit"] = json!({"connections": 8});
    // The recorder judges rises, and from 8 of api down there is none over the old limit.
    shop.apply(&budget(SHOP, "main", &spec)).await;
    until_largest(&shop, "api", json!(4)).await;
    let said = refused(&shop, &["scale", "deployment", "api", "--replicas=9"]).await;
    assert!(said.contains("at most 4 of Deployment/api fit, and 9 are asked for"), "{said}");
    shop.set_image("api", "app:2").await;
    shop.kubectl(&["annotate", "deployment", "api", "team=shop"]).await;
    shop.scale("api", 6).await;
    shop.scale("api", 4).await;
    shop.settles(&[("api", 4), ("web", 2)]).await;

    // What leaves the budget is no longer its business; neither is anything once it says Wait.
    let leaves = r#"{"metadata": {"labels": {"poolbudget.dev/budget": null}}, "spec": {"replicas": 20}}"#;
    shop.kubectl(&["patch", "deployment", "web", "-p", leaves]).await;
    spec["infeasiblePolicy"] = json!("Wait");
    shop.apply(&budget(SHOP, "main", &spec)).await;
    shop.scale("api", 20).await;
    shop.awaits("Feasible", "False", "DoesNotFit").await;
    until_largest(&shop, "api", Value::Null).await;
}

#[tokio::test]
async fn an_api_server_that_starts_without_the_resource_refuses_nobody() {
    let shop = Installed::without_operator().await;
    shop.kubectl(&["delete", "crd", "dbconnectionbudgets.poolbudget.dev"]).await;
    shop.cluster.kill_apiserver().unwrap();
    shop.cluster.start_apiserver().await.unwrap();
    shop.cluster.until_gated().await.unwrap();
    shop.apply(&governed("api", 1).to_string()).await;
    shop.scale("api", 20).await;
    assert_eq!(replicas(&shop, "api").await, "20");
}
