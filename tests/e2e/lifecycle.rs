//! Install, upgrade, uninstall, install again: with pods running, rolling and waiting.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::batch::v1::Job;
use kube::{Api, Resource};
use poolbudget::api::DbConnectionBudget;
use testkit::install::{SYSTEM, chart, operator_binary};
use testkit::launch::{Identity, Launch};
use testkit::{Version, eventually};

use crate::installed::{Installed, SETTLES, SHOP, on_every_version};
use crate::main_job::{app, governed};

mod uninstall;

on_every_version! {
    after_an_uninstall_under_load_deployments_roll_as_ever_and_a_new_install_adopts_them_again,
}

/// The chart as the commit before this one has it, unpacked into the cluster's folder: or as this one has it, when that one
/// served another version of the API, which no upgrade leads away from.
fn previous_chart(shop: &Installed) -> PathBuf {
    let serves = format!("name: {}", DbConnectionBudget::version(&()));
    let before = unpacked(shop, "HEAD~1");
    let crd = std::fs::read_to_string(before.join("templates/crd.yaml")).unwrap();
    if crd.lines().any(|line| line.trim() == serves) { before } else { unpacked(shop, "HEAD") }
}

/// The chart as a commit has it.
fn unpacked(shop: &Installed, commit: &str) -> PathBuf {
    let folder = shop.cluster.folder().file(&format!("chart-of-{commit}"));
    std::fs::create_dir_all(&folder).unwrap();
    let root = env!("CARGO_MANIFEST_DIR");
    let archive =
        Command::new("git").args(["-C", root, "archive", commit, "charts/poolbudget"]).output().unwrap();
    assert!(archive.status.success(), "git archive {commit}: {}", String::from_utf8_lossy(&archive.stderr));
    let file = folder.join("chart.tar");
    std::fs::write(&file, archive.stdout).unwrap();
    let unpacked = Command::new("tar").arg("-xf").arg(&file).arg("-C").arg(&folder).status().unwrap();
    assert!(unpacked.success());
    folder.join("charts/poolbudget")
}

/// What the kubelet would do with the pod of the release hook: run it, and report how it ended.
pub async fn run_release_hook(shop: &Installed) {
    // Replicas that still run after the uninstall have lost every right.
    shop.cluster.expects_forbidden();
    let jobs: Api<Job> = Api::namespaced(shop.client.clone(), SYSTEM);
    let job = eventually(SETTLES, "the release hook is there", async || {
        jobs.get("poolbudget-release").await.map_err(|error| error.to_string())
    })
    .await;
    let template = job.spec.expect("a spec").template;
    let account = template.spec.as_ref().and_then(|spec| spec.service_account_name.clone()).unwrap();
    let kubeconfig = shop.cluster.account_kubeconfig(SYSTEM, &account).await.unwrap();
    let identity = Identity {
        pod: "poolbudget-release".to_owned(),
        namespace: SYSTEM.to_owned(),
        service_account: account,
    };
    let stand_in = Deployment {
        spec: DeploymentSpec { template, ..DeploymentSpec::default() },
        ..Deployment::default()
    };
    let launch =
        Launch::from_deployment(&stand_in, &identity, &operator_binary().unwrap(), &kubeconfig).unwrap();
    let mut release = shop.cluster.start_operator(&launch).unwrap();
    let ended = release.wait(SETTLES).await.unwrap();
    assert!(ended.success(), "release: {ended}\n{}", release.log().unwrap());
    let pod = eventually(SETTLES, "the hook's pod runs", async || {
        let args = [
            "get",
            "pods",
            "-n",
            SYSTEM,
            "-l",
            "job-name=poolbudget-release",
            "-o",
            "jsonpath={.items[0].metadata.name}",
        ];
        shop.cluster
            .kubectl(&args)
            .await
            .map_err(|error| format!("{error:#}"))
            .and_then(|name| if name.is_empty() { Err("no pod".to_owned()) } else { Ok(name) })
    })
    .await;
    let done = r#"{"status": {"phase": "Succeeded", "containerStatuses": [{"name": "release", "image": "i", "imageID": "", "ready": false,
        "restartCount": 0, "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}]}}"#;
    eventually(SETTLES, "the hook's pod is reported as ended", async || {
        let args = ["patch", "pod", &pod, "-n", SYSTEM, "--subresource=status", "--type=merge", "-p", done];
        shop.cluster.kubectl(&args).await.map_err(|error| format!("{error:#}"))
    })
    .await;
}

#[tokio::test]
async fn an_upgrade_from_the_previous_commit_under_load_leaves_nothing_over_and_nothing_stuck() {
    let mut shop = Installed::without_operator_of(previous_chart).await;
    // Today's program stands for the older one, and may need a right that only today's chart gives.
    let account = format!("--serviceaccount={SYSTEM}:poolbudget");
    shop.kubectl(&["create", "clusterrolebinding", "today", "--clusterrole=cluster-admin", &account]).await;
    shop.add_operator("poolbudget-0").await;
    shop.nano_budget().await;
    shop.apply(&governed("api", 3).drains_in_ms(1500).to_string()).await;
    shop.settles(&[("api", 3)]).await;
    shop.set_image("api", "app:2").await;
    let chart = chart().display().to_string();
    shop.cluster
        .helm(&["upgrade", "poolbudget", &chart, "-n", SYSTEM, "--set", "logLevel=debug"])
        .await
        .unwrap();
    shop.kubectl(&["delete", "clusterrolebinding", "today"]).await;
    // The Deployment of the operator rolls: the new replica comes before the old one goes.
    shop.add_operator("poolbudget-1").await;
    let mut old = shop.operators.remove(0);
    old.terminate().unwrap();
    assert!(old.wait(Duration::from_secs(30)).await.unwrap().success());
    shop.scale("api", 5).await;
    shop.settles(&[("api", 5)]).await;
    assert_eq!(shop.recorder.faults(), Vec::<String>::new());
}

async fn after_an_uninstall_under_load_deployments_roll_as_ever_and_a_new_install_adopts_them_again(
    version: Version,
) {
    let mut shop = Installed::start_on(version).await;
    shop.nano_budget().await;
    shop.apply(&app("api", 3).to_string()).await;
    shop.kubectl(&["label", "deployment", "api", "poolbudget.dev/budget=main"]).await;
    shop.settles(&[("api", 3)]).await;
    // Load: pods that wait because they can never fit, and a rollout.
    shop.scale("api", 20).await;
    shop.awaits("Feasible", "False", "DoesNotFit").await;
    shop.set_image("api", "app:2").await;
    // From here on nobody keeps the sum: the recorder judges up to this moment only.
    shop.recorder.assert_never_over().await;
    shop.recorder.limit(SHOP, "main", u64::MAX);
    let uninstall = shop.cluster.helm(&["uninstall", "poolbudget", "-n", SYSTEM, "--timeout", "3m"]);
    let (uninstalled, ()) = tokio::join!(uninstall, run_release_hook(&shop));
    uninstalled.unwrap();
    let mut operator = shop.operators.remove(0);
    operator.terminate().unwrap();
    operator.wait(Duration::from_secs(30)).await.unwrap();
    shop.complete("api", 20).await;
    shop.set_image("api", "app:3").await;
    shop.complete("api", 20).await;
    let gates = shop.kubectl(&["get", "pods", "-o", "jsonpath={.items[*].spec.schedulingGates}"]).await;
    assert_eq!(gates, "", "gated pods are left");
    // Every pod, draining ones included, has the literal of its template.
    let path = "jsonpath={.items[*].spec.containers[0].env[?(@.name==\"DB_POOL_SIZE\")].value}";
    let sizes = shop.kubectl(&["get", "pods", "-o", path]).await;
    let literal = sizes.split_whitespace().filter(|size| *size == "5").count();
    assert!(literal >= 20 && literal == sizes.split_whitespace().count(), "{sizes}");
    // The budget outlived the chart.
    shop.kubectl(&["get", "dbcb", "main"]).await;

    shop.scale("api", 3).await;
    shop.complete("api", 3).await;
    shop.install().await;
    shop.add_operator("poolbudget-0").await;
    // The pods that came while nobody gated bear the label of the template, and no grant: they escaped.
    shop.awaits("ForeignPods", "True", "RunWithoutGrant").await;
    shop.set_image("api", "app:4").await;
    shop.awaits("ForeignPods", "False", "NoForeignPods").await;
    shop.settles(&[("api", 3)]).await;
    let held = shop.recorder.totals(SHOP, "main").connections;
    assert!(held <= 13, "{held} are held");
}
