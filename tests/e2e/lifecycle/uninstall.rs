//! An uninstall while pods wait: nobody that runs is ended for those that come.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use testkit::install::{RELEASE, SYSTEM};
use testkit::{Version, eventually};

use super::run_release_hook;
use crate::installed::{Installed, SETTLES, on_every_version};
use crate::main_job::governed;

on_every_version! {
    an_uninstall_while_pods_wait_ends_nobody,
    an_uninstall_that_fails_half_way_is_taken_back_by_a_rollback,
}

/// The pods that run and are not about to end.
async fn running(shop: &Installed) -> BTreeSet<String> {
    let path = "jsonpath={range .items[?(@.status.phase==\"Running\")]}{.metadata.uid}:{.metadata.deletionTimestamp} {end}";
    let pods = shop.kubectl(&["get", "pods", "-o", path]).await;
    pods.split_whitespace().filter_map(|pod| pod.strip_suffix(':')).map(ToOwned::to_owned).collect()
}

/// A budget of 13 whose pods run, and more that wait.
async fn with_waiting_pods(version: Version) -> Installed {
    let mut shop = Installed::start_on(version).await;
    shop.add_operator("poolbudget-1").await;
    shop.nano_budget().await;
    shop.apply(&governed("api", 2).to_string()).await;
    shop.apply(&governed("web", 3).to_string()).await;
    shop.settles(&[("api", 2), ("web", 3)]).await;
    shop.scale("api", 12).await;
    shop.scale("web", 8).await;
    shop.awaits("Feasible", "False", "DoesNotFit").await;
    shop.awaits("Settled", "False", "Infeasible").await;
    // Those that hold more than their share go one by one until then.
    let last = RefCell::new(BTreeSet::new());
    eventually(SETTLES, "nobody is ended any more", async || {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let now = running(&shop).await;
        if now == last.replace(now.clone()) { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
    shop
}

async fn an_uninstall_while_pods_wait_ends_nobody(version: Version) {
    let mut shop = with_waiting_pods(version).await;
    let before = running(&shop).await;
    assert!((2..=13).contains(&before.len()), "{before:?}");
    // From here on nobody keeps the sum.
    shop.recorder.limit(crate::installed::SHOP, "main", u64::MAX);
    let uninstall = shop.cluster.helm(&["uninstall", RELEASE, "-n", SYSTEM, "--timeout", "3m"]);
    let (uninstalled, ()) = tokio::join!(uninstall, run_release_hook(&shop));
    uninstalled.unwrap();
    shop.complete("api", 12).await;
    shop.complete("web", 8).await;
    for mut operator in shop.operators.drain(..) {
        operator.terminate().unwrap();
        operator.wait(Duration::from_secs(30)).await.unwrap();
    }
    let after = running(&shop).await;
    assert_eq!(
        before.difference(&after).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "ended by the uninstall"
    );
    // Who comes right after it need not wait for long: it lets a rollout through the gate.
    shop.scale("api", 2).await;
    shop.scale("web", 3).await;
    shop.install().await;
    shop.add_operator("poolbudget-2").await;
    shop.set_image("api", "app:2").await;
    shop.complete("api", 2).await;
    shop.awaits("Settled", "True", "Settled").await;
}

async fn an_uninstall_that_fails_half_way_is_taken_back_by_a_rollback(version: Version) {
    let shop = with_waiting_pods(version).await;
    // The job is never seen to end.
    let uninstall = shop.cluster.helm(&["uninstall", RELEASE, "-n", SYSTEM, "--timeout", "2s"]);
    uninstall.await.unwrap_err();
    let bindings = async || {
        let kind = match version {
            Version::Current => "mutatingadmissionpolicybinding",
            Version::Older => "mutatingwebhookconfiguration",
        };
        shop.cluster.kubectl(&["get", kind, "-o", "name"]).await.unwrap().contains("poolbudget.dev")
    };
    shop.scale("api", 2).await;
    shop.scale("web", 3).await;
    for kind in ["mutatingadmissionpolicybinding", "mutatingwebhookconfiguration"] {
        let _ = shop.cluster.kubectl(&["delete", kind, "--all"]).await;
    }
    assert!(!bindings().await);
    shop.cluster.helm(&["rollback", RELEASE, "1", "-n", SYSTEM]).await.unwrap();
    assert!(bindings().await);
    eventually(SETTLES, "pods are gated again", async || {
        shop.cluster.until_gated().await.map_err(|error| format!("{error:#}"))
    })
    .await;
    shop.settles(&[("api", 2), ("web", 3)]).await;
}
