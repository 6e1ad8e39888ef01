//! Jobs and CronJobs: they end by themselves, and while they wait they go before what can wait.

use std::time::Duration;

use testkit::eventually;
use testkit::objects::{RUN_MS, cron_job, deployment, job};

use super::governed;
use crate::installed::{Installed, SETTLES, SHOP};

#[tokio::test]
async fn a_migration_waits_for_its_connection_and_passes_what_waits_with_it() {
    let mut shop = Installed::start().await;
    shop.budget_of(5).await;
    shop.apply(&governed(deployment(SHOP, "api")).replicas(2).drains_in_ms(1500).to_string()).await;
    shop.holds(&[("Deployment", "api", 2)]).await;
    // The sizes of the two were made for them alone. The Job gets what the third part is, or less.
    shop.apply(&governed(job(SHOP, "migrate")).to_string()).await;
    shop.kill_operator();
    done(&shop, "job/migrate", SETTLES).await;
    over(&shop, "migrate").await;
    shop.holds(&[("Deployment", "api", 2)]).await;

    let many = governed(job(SHOP, "fill")).spec("completions", 6).spec("parallelism", 2);
    shop.apply(&many.to_string()).await;
    shop.kubectl(&["set", "image", "deployment/api", "app=app:2"]).await;
    done(&shop, "job/fill", SETTLES).await;
    shop.runs("api", "app:2", 2).await;
    over(&shop, "fill").await;
    shop.holds(&[("Deployment", "api", 2)]).await;
    assert_eq!(shop.recorder.faults(), Vec::<String>::new());
}

#[tokio::test]
async fn a_burst_of_jobs_shares_what_there_is() {
    let shop = Installed::start().await;
    shop.budget_of(4).await;
    for n in 0..10 {
        let one = governed(job(SHOP, &format!("import-{n}"))).pod_annotation(RUN_MS, "20000");
        shop.apply(&one.to_string()).await;
    }
    eventually(SETTLES, "four run with one connection each", async || {
        let totals = shop.recorder.totals(SHOP, "main");
        let seen = (totals.granted, totals.connections);
        if seen == (4, 4) { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
    assert_eq!(shop.recorder.faults(), Vec::<String>::new());
}

#[tokio::test]
async fn a_cron_job_keeps_room_for_its_next_run() {
    let shop = Installed::start().await;
    shop.budget_of(12).await;
    let report = governed(cron_job(SHOP, "report")).spec("parallelism", 2).pod_annotation(RUN_MS, "2500");
    shop.apply(&report.to_string()).await;
    shop.apply(&governed(deployment(SHOP, "api")).replicas(4).to_string()).await;
    shop.holds(&[("Deployment", "api", 4), ("CronJob", "report", 0)]).await;
    let share = shop.share("CronJob", "report").await.expect("a share");
    assert_eq!((share["ceiling"].as_i64(), share["slots"].as_i64()), (Some(2), Some(2)));
    let accepted = shop.awaits("Accepted", "True", "Accepted").await;
    assert!(accepted.contains("CronJob/report: concurrencyPolicy Allow sets no bound"), "{accepted}");
    shop.kubectl(&["create", "job", "--from=cronjob/report", "run-1"]).await;
    done(&shop, "job/run-1", SETTLES).await;
    shop.holds(&[("Deployment", "api", 4), ("CronJob", "report", 0)]).await;
    // Nobody had to go for the run.
    let events = shop.kubectl(&["get", "events", "-o", "jsonpath={.items[*].reason}"]).await;
    assert!(!events.contains("Reclaimed"), "{events}");
}

pub(super) async fn done(shop: &Installed, job: &str, within: Duration) {
    eventually(within, &format!("{job} is complete"), async || {
        let path = "jsonpath={.status.conditions[?(@.type==\"Complete\")].status} {.status}";
        let said = shop.try_kubectl(&["get", job, "-o", path]).await?;
        if said.starts_with("True") { Ok(()) } else { Err(said) }
    })
    .await;
}

/// A Job that is over takes no part any more.
async fn over(shop: &Installed, job: &str) {
    eventually(SETTLES, &format!("Job/{job} has left the status"), async || {
        shop.share("Job", job).await.map_or(Ok(()), |share| Err(share.to_string()))
    })
    .await;
}
