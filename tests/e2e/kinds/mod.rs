//! The kinds of workloads: each is adopted, scaled, rolled out, and survives its operator, under one budget.

mod daemons;
mod ordinals;
mod others;
mod rollouts;
mod tasks;

use serde_json::{Value, json};
use testkit::eventually;
use testkit::objects::{Workload, budget};

use crate::installed::{Installed, SETTLES, SHOP};

/// A workload as a user has it before poolbudget: SQLAlchemy's defaults as literals.
fn plain(workload: Workload) -> Workload {
    workload.env("DB_POOL_SIZE", "5").env("DB_MAX_OVERFLOW", "10")
}

/// One that is labelled from the start.
fn governed(workload: Workload) -> Workload {
    plain(workload).label("poolbudget.dev/budget", "main")
}

impl Installed {
    /// The budget `main` with so many usable connections.
    async fn budget_of(&self, usable: u64) {
        self.recorder.limit(SHOP, "main", usable);
        self.apply(&budget(SHOP, "main", &json!({"limit": {"connections": usable}, "reserved": 0}))).await;
    }

    /// What the status of the budget says of a workload.
    async fn share(&self, kind: &str, name: &str) -> Option<Value> {
        self.entry("/status/workloads", kind, name).await
    }

    /// What its ledger says of how a workload was.
    async fn baseline(&self, kind: &str, name: &str) -> Option<Value> {
        self.entry("/status/ledger/baselines", kind, name).await
    }

    async fn entry(&self, list: &str, kind: &str, name: &str) -> Option<Value> {
        let budget = self.budget().await;
        let entries = budget.pointer(list).and_then(Value::as_array).cloned().unwrap_or_default();
        entries.into_iter().find(|entry| entry["kind"] == kind && entry["name"] == name)
    }

    /// Waits until the budget is settled and has so many pods of each workload granted, and none waiting.
    async fn holds(&self, workloads: &[(&str, &str, i64)]) {
        for (kind, name, pods) in workloads {
            eventually(SETTLES, &format!("{kind}/{name} has {pods} pods"), async || {
                let share = self.share(kind, name).await.ok_or("not in the status")?;
                let baseline = self.baseline(kind, name).await.ok_or("not in the ledger")?;
                let counts = [&share["replicas"], &share["granted"], &baseline["replicas"]];
                if counts == [pods; 3] { Ok(()) } else { Err(format!("{share}, {baseline}")) }
            })
            .await;
        }
        self.awaits("Settled", "True", "Settled").await;
        self.recorder.assert_never_over().await;
    }

    /// Waits until all pods of a workload run this image, and are ready.
    async fn runs(&self, app: &str, image: &str, pods: usize) {
        let selector = format!("app={app}");
        eventually(SETTLES, &format!("{pods} pods of {app} run {image}"), async || {
            let list = self.try_kubectl(&["get", "pods", "-l", &selector, "-o", "json"]).await?;
            let list: Value = serde_json::from_str(&list).map_err(|error| error.to_string())?;
            let items = list["items"].as_array().cloned().unwrap_or_default();
            let told: Vec<String> = items
                .iter()
                .map(|pod| {
                    let ready = pod["status"]["containerStatuses"][0]["ready"] == true;
                    format!("{} {} {ready}", pod["metadata"]["name"], pod["spec"]["containers"][0]["image"])
                })
                .collect();
            let good = format!("\"{image}\" true");
            if told.len() == pods && told.iter().all(|line| line.ends_with(&good)) {
                Ok(())
            } else {
                Err(told.join(", "))
            }
        })
        .await;
    }

    /// Kills the operator and starts it again.
    fn kill_operator(&mut self) {
        let operator = self.operators.first_mut().expect("an operator");
        operator.kill().unwrap();
        operator.start_again().unwrap();
    }
}
