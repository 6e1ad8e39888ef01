//! From policies to the webhook and back, by `helm upgrade`, while pods wait, run and are born.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::json;
use testkit::install::{RELEASE, SYSTEM, chart};
use testkit::objects::{BUDGET_LABEL, pod};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::installed::{Installed, SHOP};
use crate::main_job::governed;

/// Tries pods all the time, each as a dry run, and notes how they would be born.
pub struct Nursery {
    over: watch::Sender<bool>,
    births: JoinHandle<Births>,
}

/// How the tried pods would have been born.
#[derive(Clone, Debug, Default)]
pub struct Births {
    /// With the gate.
    pub gated: usize,
    /// Not at all.
    pub refused: usize,
    /// Without the gate.
    pub ungated: usize,
}

impl Nursery {
    /// Begins.
    pub fn open(client: Client) -> Self {
        let (over, watched) = watch::channel(false);
        let births = tokio::spawn(async move {
            let mut births = Births::default();
            let pods: Api<Pod> = Api::namespaced(client, SHOP);
            let pod = json!({
                "metadata": {"generateName": "try-", "labels": {"poolbudget.dev/budget": "main"}},
                "spec": {"containers": [{"name": "app", "image": "shop/app:1"}]},
            });
            let pod: Pod = serde_json::from_value(pod).unwrap();
            let dry_run = PostParams { dry_run: true, ..PostParams::default() };
            while !*watched.borrow() {
                match pods.create(&dry_run, &pod).await {
                    Err(_) => births.refused += 1,
                    Ok(born) => {
                        let gates = born.spec.and_then(|spec| spec.scheduling_gates).unwrap_or_default();
                        let gated = gates.iter().any(|gate| gate.name == "poolbudget.dev/connections");
                        *if gated { &mut births.gated } else { &mut births.ungated } += 1;
                    }
                }
            }
            births
        });
        Self { over, births }
    }

    /// Ends, and tells.
    pub async fn close(self) -> Births {
        self.over.send_replace(true);
        self.births.await.unwrap()
    }
}

/// `helm upgrade`, and what a Deployment's rollout makes of it: the new replica serves before the old one goes.
async fn upgrade(shop: &mut Installed, pod: &str, flags: &[&str]) {
    let chart = chart().display().to_string();
    let upgrade = ["upgrade", RELEASE, &chart, "-n", SYSTEM, "--reset-values"];
    shop.cluster.helm(&[&upgrade, flags].concat()).await.unwrap();
    shop.add_operator(pod).await;
    shop.cluster.until_gated().await.unwrap();
    let mut old = shop.operators.remove(0);
    old.terminate().unwrap();
    assert!(old.wait(Duration::from_secs(30)).await.unwrap().success());
}

/// The admission objects of the release, by kind and name.
async fn gating(shop: &Installed) -> String {
    let kinds = "mutatingadmissionpolicies,mutatingwebhookconfigurations";
    shop.cluster.kubectl(&["get", kinds, "-o", "name"]).await.unwrap()
}

#[tokio::test]
async fn policies_and_the_webhook_take_each_others_place_and_no_pod_is_born_without_a_gate() {
    let mut shop = Installed::start().await;
    shop.nano_budget().await;
    shop.apply(&governed("api", 4).drains_in_ms(1500).to_string()).await;
    shop.apply(&governed("web", 2).rolling(1, 0).to_string()).await;
    shop.settles(&[("api", 4), ("web", 2)]).await;
    // A replica that served the webhook loses the right to its Secret before it ends.
    shop.cluster.expects_forbidden();
    let place = shop.cluster.webhook_place();
    let to_webhook = ["--set", "admission.mode=webhook", "--set", &place];
    let turns: [(&str, &[&str], &str); 2] = [
        ("poolbudget-1", &to_webhook, "mutatingwebhookconfiguration"),
        ("poolbudget-2", &[], "mutatingadmissionpolicy"),
    ];
    for (round, (pod, flags, kind)) in turns.into_iter().enumerate() {
        // Pods wait that can never fit, pods run, and a rollout makes new ones meanwhile.
        shop.scale("api", 20).await;
        shop.awaits("Feasible", "False", "DoesNotFit").await;
        shop.set_image("web", &format!("app:{round}")).await;
        let nursery = Nursery::open(shop.client.clone());
        upgrade(&mut shop, pod, flags).await;
        let births = nursery.close().await;
        assert_eq!(births.ungated, 0, "{births:?}");
        assert!(births.gated > 0, "{births:?}");
        let gating = gating(&shop).await;
        assert!(gating.lines().all(|name| name.starts_with(kind)) && !gating.is_empty(), "{gating}");
        shop.scale("api", 4).await;
        shop.set_image("api", &format!("app:{round}")).await;
        shop.settles(&[("api", 4), ("web", 2)]).await;
    }
    assert_eq!(shop.recorder.faults(), Vec::<String>::new());
}

#[tokio::test]
async fn a_pod_that_nothing_gives_a_gate_is_refused() {
    let shop = Installed::without_operator().await;
    shop.kubectl(&["delete", "mutatingadmissionpolicybinding", "gate.poolbudget.dev"]).await;
    shop.cluster.until_in_force().await.unwrap();
    let said = shop.cluster.apply(&pod(SHOP, "api").label(BUDGET_LABEL, "main").to_string()).await;
    let said = format!("{:#}", said.expect_err("a refusal"));
    assert!(said.contains("a pod of a budget is born with the gate poolbudget.dev/connections; "), "{said}");
    assert_eq!(shop.recorder.faults(), Vec::<String>::new());
}
