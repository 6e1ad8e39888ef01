//! Observe and Rollout on the real API server: with policies and without any admission, from one mode to the next while
//! pods wait, run and roll.

use serde_json::{Value, json};

use crate::installed::{Installed, SETTLES, SHOP};
use crate::lifecycle::run_release_hook;
use crate::main_job::governed;
use crate::support::eventually;
use crate::support::install::{RELEASE, SYSTEM, chart};
use crate::support::objects::{Workload, budget, daemon_set, deployment, nano_session, stateful_set};

/// More than the pods of a test can ever hold.
const NO_LIMIT: u64 = 1_000_000;

/// 13 usable connections in this mode; templates may be written as often as it takes.
fn spec(mode: &str) -> Value {
    let mut spec = nano_session(2);
    spec["mode"] = mode.into();
    spec["rollout"] = json!({"minIntervalSeconds": 0});
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
        let status = shop.budget().await["status"]["mode"].clone();
        if status == mode { Ok(()) } else { Err(format!("{status}")) }
    })
    .await;
}

async fn switch_on(shop: &Installed, values: &[&str]) {
    let chart = chart().display().to_string();
    let mut args = vec!["upgrade", RELEASE, &chart, "-n", SYSTEM, "--reuse-values"];
    values.iter().for_each(|value| args.extend(["--set", value]));
    shop.cluster.helm(&args).await.unwrap();
}

async fn workload(shop: &Installed, name: &str) -> Value {
    let place = if name.contains('/') { name.to_owned() } else { format!("deployment/{name}") };
    let text = shop.kubectl(&["get", &place, "-o", "json", "--show-managed-fields"]).await;
    serde_json::from_str(&text).unwrap()
}

fn env(workload: &Value) -> &Value {
    &workload["spec"]["template"]["spec"]["containers"][0]["env"]
}

/// Waits until the env of a template is this.
async fn awaits_env(shop: &Installed, name: &str, wanted: &Value) {
    eventually(SETTLES, &format!("the env of {name} is {wanted}"), async || {
        let workload = workload(shop, name).await;
        let env = env(&workload).clone();
        if env == *wanted { Ok(()) } else { Err(env.to_string()) }
    })
    .await;
}

/// Waits until nothing of mode Rollout is left on a workload.
async fn is_clean(shop: &Installed, name: &str) {
    eventually(SETTLES, &format!("nothing is left on {name}"), async || {
        let metadata = workload(shop, name).await["metadata"].clone();
        let text = metadata.to_string();
        let left = text.contains("poolbudget.dev/original-env") || text.contains("poolbudget-rollout");
        if left { Err(text) } else { Ok(()) }
    })
    .await;
}

fn literals(pool_size: &str, max_overflow: &str) -> Value {
    json!([{"name": "DB_POOL_SIZE", "value": pool_size}, {"name": "DB_MAX_OVERFLOW", "value": max_overflow}])
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
    assert!(within.contains("mode Observe ends no pod and changes no size"), "{within}");
    assert_eq!(shop.budget().await["status"]["grants"], Value::Null);

    // Rolling while the gate comes back.
    shop.scale("api", 4).await;
    shop.set_image("api", "app:2").await;
    set(&shop, "Gate").await;
    shop.settles(&[("api", 4)]).await;
    shop.recorder.limit(SHOP, "main", 13);
    assert!(shop.recorder.totals(SHOP, "main").granted <= 4);

    // Templates are written when the operator may.
    shop.cluster.expects_forbidden();
    set(&shop, "Rollout").await;
    let why = shop.awaits("Blocked", "True", "Forbidden").await;
    assert!(why.contains("rolloutMode.enabled"), "{why}");
    switch_on(&shop, &["rolloutMode.enabled=true"]).await;
    // Four pods and one of surge: two connections each.
    awaits_env(&shop, "api", &literals("1", "1")).await;
    shop.complete("api", 4).await;
    shop.awaits("Settled", "True", "Settled").await;
    shop.awaits("WithinLimit", "True", "WithinLimit").await;

    // Written again while it rolls, and put back while that rolls.
    shop.scale("api", 6).await;
    awaits_env(&shop, "api", &literals("1", "0")).await;
    set(&shop, "Gate").await;
    awaits_env(&shop, "api", &literals("5", "10")).await;
    is_clean(&shop, "api").await;
    shop.settles(&[("api", 6)]).await;
    shop.recorder.limit(SHOP, "main", 13);
    shop.set_image("api", "app:3").await;
    shop.settles(&[("api", 6)]).await;
    assert_eq!(shop.recorder.faults(), Vec::<String>::new());
}

/// A Deployment where no admission is installed: what has to stand in the template stands there.
fn bare(name: &str) -> Workload {
    deployment(SHOP, name).replicas(2).pod_label("poolbudget.dev/budget", "main")
}

/// `web` takes its pool size from a ConfigMap, and everything else from another one.
fn from_elsewhere() -> (String, Value) {
    let mut web: Value = serde_json::from_str(&bare("web").to_string()).unwrap();
    let container = &mut web["spec"]["template"]["spec"]["containers"][0];
    let from = json!({"configMapKeyRef": {"name": "sizes", "key": "pool"}});
    container["env"] =
        json!([{"name": "MODE", "value": "fast"}, {"name": "DB_POOL_SIZE", "valueFrom": from}]);
    container["envFrom"] = json!([{"configMapRef": {"name": "all"}}]);
    let env = container["env"].clone();
    (web.to_string(), env)
}

#[tokio::test]
async fn without_admission_templates_are_written_contested_and_put_back() {
    let mut shop = Installed::without_operator().await;
    switch_on(&shop, &["rolloutMode.enabled=true", "admission.mode=none"]).await;
    shop.add_operator("poolbudget-0").await;
    let api = bare("api").env("DB_POOL_SIZE", "5").env("DB_MAX_OVERFLOW", "10").to_string();
    let (web, original) = from_elsewhere();
    shop.apply(&api).await;
    shop.apply(&web).await;
    set(&shop, "Rollout").await;
    // Two pods and one of surge, twice: two connections each.
    awaits_env(&shop, "api", &literals("1", "1")).await;
    let written = json!([{"name": "MODE", "value": "fast"}, {"name": "DB_POOL_SIZE", "value": "1"},
        {"name": "DB_MAX_OVERFLOW", "value": "1"}]);
    awaits_env(&shop, "web", &written).await;
    shop.complete("api", 2).await;
    shop.complete("web", 2).await;
    shop.awaits("Settled", "True", "Settled").await;
    shop.awaits("WithinLimit", "True", "WithinLimit").await;

    // Once it is put up with.
    shop.apply(&api).await;
    awaits_env(&shop, "api", &literals("1", "1")).await;
    shop.complete("api", 2).await;
    shop.awaits("Settled", "True", "Settled").await;
    // Twice is a dispute, which its manager wins.
    let file = shop.cluster.folder().write("api.json", &api).unwrap().display().to_string();
    let apply = ["apply", "--server-side", "--force-conflicts", "--field-manager=flux", "-f", &file];
    shop.cluster.kubectl(&apply).await.unwrap();
    let contested = shop.awaits("Contested", "True", "TakenBack").await;
    assert!(contested.contains("kubectl-client-side-apply keeps taking back"), "{contested}");
    assert_eq!(env(&workload(&shop, "api").await), &literals("5", "10"));

    shop.kubectl(&["delete", "dbcb", "main"]).await;
    awaits_env(&shop, "web", &original).await;
    for name in ["api", "web"] {
        is_clean(&shop, name).await;
        shop.complete(name, 2).await;
    }
    assert_eq!(env(&workload(&shop, "api").await), &literals("5", "10"));
}

#[tokio::test]
async fn an_uninstall_puts_templates_back_though_the_leader_still_runs() {
    let shop = Installed::start().await;
    switch_on(&shop, &["rolloutMode.enabled=true"]).await;
    shop.apply(&governed("api", 2).to_string()).await;
    set(&shop, "Rollout").await;
    awaits_env(&shop, "api", &literals("2", "2")).await;
    shop.complete("api", 2).await;
    let others = [stateful_set(SHOP, "line").replicas(1), daemon_set(SHOP, "agent")];
    for other in others {
        let other = other.env("DB_POOL_SIZE", "5").env("DB_MAX_OVERFLOW", "10");
        shop.apply(&other.label("poolbudget.dev/budget", "main").to_string()).await;
    }
    let others = ["statefulset/line", "daemonset/agent"];
    for other in others {
        eventually(SETTLES, &format!("{other} is written"), async || {
            let workload = workload(&shop, other).await;
            if *env(&workload) == literals("5", "10") { Err(env(&workload).to_string()) } else { Ok(()) }
        })
        .await;
    }
    let uninstall = shop.cluster.helm(&["uninstall", RELEASE, "-n", SYSTEM, "--timeout", "3m"]);
    let (uninstalled, ()) = tokio::join!(uninstall, run_release_hook(&shop));
    uninstalled.unwrap();
    for name in ["api", "statefulset/line", "daemonset/agent"] {
        awaits_env(&shop, name, &literals("5", "10")).await;
        is_clean(&shop, name).await;
    }
    shop.complete("api", 2).await;
}
