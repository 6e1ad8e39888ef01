//! Observe on the real API server: from one mode to the next while pods wait, run and roll.

use serde_json::Value;
use testkit::eventually;
use testkit::objects::{budget, nano_session};

use crate::installed::{Installed, SETTLES, SHOP};
use crate::main_job::governed;

/// More than the pods of a test can ever hold.
const NO_LIMIT: u64 = 1_000_000;

/// 13 usable connections in this mode.
fn spec(mode: &str) -> Value {
    let mut spec = nano_session(2);
    spec["mode"] = mode.into();
    spec
}

/// Sets the mode, and waits until the leader acts by it. Under Gate what stood before gives way one by one: the limit is
/// judged by whoever asks, when that is done.
async fn set(shop: &Installed, mode: &str) {
    if mode != "Gate" {
        shop.recorder.limit(SHOP, "main", NO_LIMIT);
    }
    shop.apply(&budget(SHOP, "main", &spec(mode))).await;
    eventually(SETTLES, &format!("the leader acts by mode {mode}"), async || {
        let status = shop.budget().await["status"]["ledger"]["mode"].clone();
        if status == mode { Ok(()) } else { Err(format!("{status}")) }
    })
    .await;
}

#[tokio::test]
async fn the_mode_changes_with_pods_waiting_running_and_rolling() {
    let shop = Installed::start().await;
    shop.recorder.limit(SHOP, "main", 13);
    set(&shop, "Gate").await;
    shop.apply(&governed("api", 2).to_string()).await;
    shop.settles(&[("api", 2)]).await;

    // Twenty cannot fit: some wait, until nobody is held any more.
    shop.scale("api", 20).await;
    shop.awaits("Settled", "False", "Infeasible").await;
    set(&shop, "Observe").await;
    shop.complete("api", 20).await;
    let within = shop.awaits("WithinLimit", "False", "OverLimit").await;
    assert!(within.contains("mode Observe evicts no pod and changes no size"), "{within}");
    assert_eq!(shop.budget().await["status"]["ledger"]["grants"], Value::Null);

    // Rolling while the gate comes back.
    shop.scale("api", 4).await;
    shop.set_image("api", "app:2").await;
    set(&shop, "Gate").await;
    shop.settles(&[("api", 4)]).await;
    shop.recorder.limit(SHOP, "main", 13);
    assert!(shop.recorder.totals(SHOP, "main").granted <= 4);
    assert_eq!(shop.recorder.faults(), Vec::<String>::new());
}
