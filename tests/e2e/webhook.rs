//! The webhook's certificate and its replicas, while pods are born: on 1.33, where nothing else gates them.

use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use poolbudget::webhook::certificate::{Held, Lives, renewed};
use poolbudget::webhook::keep::SECRET;
use serde_json::json;
use testkit::install::{SYSTEM, chart};
use testkit::{Version, eventually};

use crate::installed::{Installed, SETTLES};
use crate::main_job::governed;
use crate::switching::Nursery;

/// Sooner than the replicas look by themselves, every 30 seconds: they are told of what is changed.
const TOLD: Duration = Duration::from_secs(20);

const CONFIGURATIONS: [&str; 2] = ["mutatingwebhookconfiguration", "validatingwebhookconfiguration"];

async fn shop() -> Installed {
    let shop = Installed::start_on(Version::Older).await;
    shop.nano_budget().await;
    shop
}

fn secrets(shop: &Installed) -> Api<Secret> {
    Api::namespaced(shop.client.clone(), SYSTEM)
}

/// A field of the Secret; empty while there is none.
async fn field(shop: &Installed, name: &str) -> String {
    let secret = secrets(shop).get_opt(SECRET).await.unwrap();
    let bytes = secret.and_then(|secret| secret.data?.remove(name));
    bytes.map(|bytes| String::from_utf8(bytes.0).unwrap()).unwrap_or_default()
}

/// Waits until a field of the Secret is there and is none of these; gives it.
async fn other_field(shop: &Installed, name: &str, than: &[&str]) -> String {
    eventually(SETTLES, &format!("{name} of the Secret is another"), async || {
        let now = field(shop, name).await;
        if now.is_empty() || than.contains(&now.as_str()) { Err(now) } else { Ok(now) }
    })
    .await
}

#[tokio::test]
async fn a_certificate_that_ages_is_renewed_and_nobody_notices() {
    let mut shop = Installed::without_operator_on(Version::Older, |_| chart()).await;
    shop.nano_budget().await;
    // Made 70 days ago for 90: the operator finds it in its Secret.
    let then = Timestamp::now() - SignedDuration::from_hours(70 * 24);
    let aged: Held = renewed(None, "127.0.0.1", Lives::default(), then).unwrap().unwrap();
    let texts = [&aged.authorities, &aged.authority_key, &aged.certificate, &aged.key];
    let fields = ["ca.crt", "ca.key", "tls.crt", "tls.key"].into_iter().zip(texts);
    let data = fields.map(|(name, text)| (name.to_owned(), ByteString(text.clone().into_bytes()))).collect();
    let mut secret = Secret { data: Some(data), ..Secret::default() };
    secret.metadata.name = Some(SECRET.to_owned());
    secrets(&shop).create(&PostParams::default(), &secret).await.unwrap();
    shop.add_operator("poolbudget-0").await;
    shop.add_operator("poolbudget-1").await;
    let mut current = other_field(&shop, "tls.crt", &[&aged.certificate]).await;
    assert_eq!(field(&shop, "ca.crt").await, aged.authorities);

    shop.apply(&governed("api", 2).drains_in_ms(1000).to_string()).await;
    shop.settles(&[("api", 2)]).await;
    let nursery = Nursery::open(shop.client.clone());
    for round in 0..4 {
        shop.set_image("api", &format!("app:{round}")).await;
        let again = json!({"stringData": {"tls.crt": aged.certificate, "tls.key": aged.key}});
        secrets(&shop).patch(SECRET, &PatchParams::default(), &Patch::Merge(&again)).await.unwrap();
        current = other_field(&shop, "tls.crt", &[&aged.certificate, &current]).await;
    }
    let births = nursery.close().await;
    assert_eq!((births.refused, births.ungated), (0, 0), "{births:?}");
    assert!(births.gated > 0, "{births:?}");
    shop.settles(&[("api", 2)]).await;
    assert_eq!(shop.recorder.faults(), Vec::<String>::new());
}

#[tokio::test]
async fn an_authority_that_is_lost_or_overwritten_is_put_back() {
    let shop = shop().await;
    shop.apply(&governed("api", 2).to_string()).await;
    shop.settles(&[("api", 2)]).await;
    let nursery = Nursery::open(shop.client.clone());
    for kind in CONFIGURATIONS {
        let nobody = json!([{"op": "remove", "path": "/webhooks/1/clientConfig/caBundle"}]).to_string();
        shop.cluster.kubectl(&["patch", kind, "poolbudget.dev", "--type=json", "-p", &nobody]).await.unwrap();
        until_trusted(&shop, kind).await;
    }
    let authorities = field(&shop, "ca.crt").await;
    secrets(&shop).delete(SECRET, &DeleteParams::default()).await.unwrap();
    other_field(&shop, "ca.crt", &[&authorities]).await;
    for kind in CONFIGURATIONS {
        until_trusted(&shop, kind).await;
    }
    shop.set_image("api", "app:2").await;
    shop.scale("api", 4).await;
    shop.settles(&[("api", 4)]).await;
    let births = nursery.close().await;
    assert_eq!(births.ungated, 0, "{births:?}");
    assert_eq!(shop.recorder.faults(), Vec::<String>::new());
}

/// Waits until every entry of a configuration bears the authorities of the Secret.
async fn until_trusted(shop: &Installed, kind: &str) {
    eventually(TOLD, &format!("the {kind} bears the authority"), async || {
        let path = "jsonpath={range .webhooks[*]}{.clientConfig.caBundle}{\"\\n\"}{end}";
        let found = shop.try_kubectl(&["get", kind, "poolbudget.dev", "-o", path]).await?;
        let secret = ["get", "secret", SECRET, "-n", SYSTEM, "-o", "jsonpath={.data.ca\\.crt}"];
        let expected = shop.cluster.kubectl(&secret).await.map_err(|error| format!("{error:#}"))?;
        let right = !expected.is_empty() && found.lines().all(|line| line == expected);
        if right && found.lines().count() == 2 { Ok(()) } else { Err(found) }
    })
    .await;
}

#[tokio::test]
async fn without_any_replica_no_pod_is_born_and_with_one_all_goes_on() {
    let mut shop = shop().await;
    shop.apply(&governed("api", 2).to_string()).await;
    shop.settles(&[("api", 2)]).await;
    for operator in &mut shop.operators {
        operator.kill().unwrap();
    }
    let nursery = Nursery::open(shop.client.clone());
    shop.scale("api", 4).await;
    eventually(SETTLES, "the ReplicaSet controller says why it makes no pod", async || {
        let events = shop.try_kubectl(&["get", "events", "-o", "jsonpath={.items[*].message}"]).await?;
        if events.contains("failed calling webhook \"gate.poolbudget.dev\"") { Ok(()) } else { Err(events) }
    })
    .await;
    let births = nursery.close().await;
    assert_eq!((births.gated, births.ungated), (0, 0), "{births:?}");
    // What no budget governs is none of our business.
    let free = governed("free", 1).to_string().replace("poolbudget.dev/budget", "example.com/budget");
    shop.apply(&free).await;
    shop.complete("free", 1).await;
    for operator in &mut shop.operators {
        operator.start_again().unwrap();
    }
    shop.settles(&[("api", 4)]).await;
    assert_eq!(shop.recorder.faults(), Vec::<String>::new());
}

#[tokio::test]
async fn a_replica_that_is_told_to_end_leaves_no_request_unanswered() {
    let mut shop = shop().await;
    shop.add_operator("poolbudget-1").await;
    let nursery = Nursery::open(shop.client.clone());
    for round in 2..4 {
        let mut old = shop.operators.remove(0);
        old.terminate().unwrap();
        assert!(old.wait(Duration::from_secs(30)).await.unwrap().success());
        shop.add_operator(&format!("poolbudget-{round}")).await;
    }
    let births = nursery.close().await;
    assert_eq!((births.refused, births.ungated), (0, 0), "{births:?}");
    assert!(births.gated > 0, "{births:?}");
}
