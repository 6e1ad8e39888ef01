//! The main job: what a user does to workloads, and what their pods may hold meanwhile.

use crate::installed::{Installed, SHOP};
use crate::support::objects::deployment;

/// A Deployment as a user has it before poolbudget: SQLAlchemy's defaults as literals.
fn app(name: &str, replicas: u32) -> crate::support::objects::Workload {
    deployment(SHOP, name).replicas(replicas).env("DB_POOL_SIZE", "5").env("DB_MAX_OVERFLOW", "10")
}

#[tokio::test]
async fn two_running_deployments_are_adopted_by_rolling_updates() {
    let shop = Installed::start().await;
    shop.apply(&app("api", 2).to_string()).await;
    shop.apply(&app("web", 2).to_string()).await;
    shop.complete("api", 2).await;
    shop.complete("web", 2).await;
    shop.nano_budget().await;
    shop.kubectl(&["label", "deployment", "api", "web", "poolbudget.dev/budget=main"]).await;
    let foreign = shop.awaits("ForeignPods", "True", "Found").await;
    assert!(foreign.contains("may hold"), "{foreign}");
    shop.settles(&[("api", 2), ("web", 2)]).await;
    shop.awaits("ForeignPods", "False", "None").await;
    let pods = shop.recorder.pods(SHOP, "main");
    assert_eq!(pods.len(), 4);
    assert_eq!(shop.recorder.totals(SHOP, "main").granted, 4);
    assert_eq!(shop.recorder.faults(), Vec::<String>::new());
}
