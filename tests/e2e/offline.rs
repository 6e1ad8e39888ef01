//! The commands that need no cluster, held against one: a plan says what the status will say, and templates that were
//! injected need no admission.

use std::process::Stdio;

use serde_json::{Value, json};
use testkit::install::{RELEASE, SYSTEM, chart, operator_binary};
use testkit::objects::{autoscaler, budget, documents, nano_session, pod};
use tokio::process::Command;

use crate::installed::{Installed, SHOP};
use crate::main_job::governed;

/// What a command makes of a manifest.
async fn offline(shop: &Installed, manifest: &str, args: &[&str]) -> String {
    let file = shop.cluster.folder().write("manifest.yaml", manifest).unwrap();
    let mut command = Command::new(operator_binary().unwrap());
    command.args(args).arg("-f").arg(file).env_clear().stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What the plan of a manifest says of each workload, under the names that the status has for it.
async fn planned(shop: &Installed, manifest: &str) -> Vec<Value> {
    let plan = offline(shop, manifest, &["plan", "-o", "json"]).await;
    let plan: Value = serde_json::from_str(&plan).unwrap();
    let budgets = plan["budgets"].as_array().unwrap();
    assert_eq!(budgets.len(), 1, "{plan:#}");
    shares(&budgets[0]["workloads"])
}

fn shares(workloads: &Value) -> Vec<Value> {
    let fields = ["kind", "name", "replicas", "ceiling", "slots", "poolSize", "maxOverflow", "perPod"];
    let share = |workload: &Value| fields.iter().map(|field| (*field, workload[*field].clone())).collect();
    workloads.as_array().into_iter().flatten().map(share).collect()
}

#[tokio::test]
async fn a_plan_says_what_the_status_will_say() {
    let shop = Installed::start().await;
    shop.recorder.limit(SHOP, "main", 30);
    let spec = json!({"limit": {"connections": 32}, "reserved": 2, "sizing": {"overflowRatio": 1},
        "workloads": [{"name": "web", "weight": 2, "connectionsPerProcess": {"max": 5}}]});
    let manifest = documents(&[
        budget(SHOP, "main", &spec),
        autoscaler(SHOP, "api", 2, 5),
        governed("api", 2).annotation("poolbudget.dev/processes", "2").to_string(),
        governed("web", 3).rolling(1, 0).to_string(),
        governed("worker", 1).recreate().to_string(),
    ]);
    shop.apply(&manifest).await;
    shop.settles(&[("api", 2), ("web", 3), ("worker", 1)]).await;
    let told = shares(&shop.budget().await["status"]["workloads"]);
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(planned(&shop, &manifest).await, told);
    // The same objects with all that a cluster has written into them.
    let stored = shop.kubectl(&["get", "dbcb,deployments,hpa,replicasets,pods", "-o", "yaml"]).await;
    assert_eq!(planned(&shop, &stored).await, told);
}

#[tokio::test]
async fn templates_that_were_injected_need_no_admission() {
    let shop = Installed::start().await;
    let chart = chart().display().to_string();
    let upgrade = ["upgrade", RELEASE, &chart, "-n", SYSTEM, "--set", "admission.mode=none"];
    shop.cluster.helm(&upgrade).await.unwrap();
    let probe = pod(SHOP, "probe").label("poolbudget.dev/budget", "main").to_string();
    let file = shop.cluster.folder().write("probe.json", &probe).unwrap().display().to_string();
    let gates = "jsonpath={.spec.schedulingGates}";
    assert_eq!(shop.kubectl(&["create", "--dry-run=server", "-o", gates, "-f", &file]).await, "");
    shop.recorder.limit(SHOP, "main", 13);
    shop.apply(&budget(SHOP, "main", &nano_session(2))).await;
    let injected = offline(&shop, &governed("api", 2).to_string(), &["inject"]).await;
    shop.apply(&injected).await;
    by_kustomize(&shop, "web", 1).await;
    shop.settles(&[("api", 2), ("web", 1)]).await;
    assert_eq!(shop.recorder.totals(SHOP, "main").granted, 3);
    shop.scale("api", 6).await;
    shop.settles(&[("api", 6), ("web", 1)]).await;
    assert_eq!(shop.recorder.totals(SHOP, "main").granted, 7);
    assert_eq!(shop.recorder.faults(), Vec::<String>::new());
}

/// Applies a Deployment as it is, with what it needs as a component beside it.
async fn by_kustomize(shop: &Installed, name: &str, replicas: u32) {
    let manifest = governed(name, replicas).to_string();
    let component = offline(shop, &manifest, &["inject", "--patch"]).await;
    let root = shop.cluster.folder().file("kustomize");
    std::fs::create_dir_all(root.join("poolbudget")).unwrap();
    let files = [
        ("deployment.yaml", manifest.as_str()),
        ("poolbudget/kustomization.yaml", component.as_str()),
        ("kustomization.yaml", "resources: [deployment.yaml]\ncomponents: [poolbudget]\n"),
    ];
    for (file, text) in files {
        std::fs::write(root.join(file), text).unwrap();
    }
    shop.kubectl(&["apply", "-k", &root.display().to_string()]).await;
}
