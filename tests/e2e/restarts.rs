//! Clusters are started, ended, and lose their parts.

use std::collections::BTreeMap;
use std::net::TcpStream;

use serde_json::Value;
use testkit::objects::{self, deployment};
use testkit::store::{self, STORE_JSON};
use testkit::{Cluster, Options, Recorder};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::timeout;

use crate::world::{SOON, until_pod_ready, until_pods, until_ready};

/// Where pods are in the store.
const PODS: (&str, &str) = ("/registry/pods/", "/registry/pods0");

#[tokio::test]
async fn a_cluster_goes_on_after_its_api_server_and_its_store_were_killed() {
    let cluster = Cluster::start(Options::default()).await.unwrap();
    let recorder = Recorder::start(&cluster).await.unwrap();
    recorder.limit("shop", "main", 5);
    let client = cluster.client().await.unwrap();
    cluster.create_namespace("shop").await.unwrap();
    cluster.apply(&deployment("shop", "api").replicas(2).starts_in_ms(1500).to_string()).await.unwrap();

    cluster.kill_apiserver().unwrap();
    assert!(cluster.kubectl(&["get", "pods", "-n", "shop"]).await.is_err());
    cluster.start_apiserver().await.unwrap();
    until_ready(&client, "shop", "api", 2).await;

    cluster.kubectl(&["scale", "deployment", "api", "-n", "shop", "--replicas=3"]).await.unwrap();
    cluster.kill_etcd().unwrap();
    assert!(cluster.start_etcd().await.is_ok());
    until_ready(&client, "shop", "api", 3).await;

    // The recorder has found back too.
    cluster.apply(&objects::granted_pod("shop", "late", "main", 2, 3).to_string()).await.unwrap();
    until_pod_ready(&client, "shop", "late").await;
    recorder.caught_up().await;
    assert_eq!(5, recorder.totals("shop", "main").connections);
    recorder.assert_never_over().await;

    // Neither do the fake kubelets forget a drain that was to end while nobody could be told.
    cluster.kubectl(&["delete", "pod/late", "-n", "shop", "--wait=false"]).await.unwrap();
    cluster.kill_apiserver().unwrap();
    cluster.start_apiserver().await.unwrap();
    until_pods(&client, "shop", 3).await;
    recorder.caught_up().await;
    assert_eq!(0, recorder.totals("shop", "main").connections);
}

#[tokio::test]
async fn the_store_gives_every_write_once_and_in_order_whatever_is_killed() {
    let flags = vec![STORE_JSON.to_owned()];
    let cluster =
        Cluster::start(Options { nodes: 1, apiserver_flags: flags, ..Options::default() }).await.unwrap();
    let client = cluster.client().await.unwrap();
    let (send, mut changes) = unbounded_channel();
    let store = cluster.store_address();
    let following =
        tokio::spawn(async move { store::follow(&store, PODS, |change| send.send(change).unwrap()).await });
    cluster.create_namespace("shop").await.unwrap();
    cluster.apply(&deployment("shop", "api").replicas(2).to_string()).await.unwrap();
    until_ready(&client, "shop", "api", 2).await;
    cluster.kill_apiserver().unwrap();
    cluster.start_apiserver().await.unwrap();
    cluster.kubectl(&["scale", "deployment", "api", "-n", "shop", "--replicas=3"]).await.unwrap();
    cluster.kill_etcd().unwrap();
    cluster.start_etcd().await.unwrap();
    until_ready(&client, "shop", "api", 3).await;
    cluster.kubectl(&["delete", "deployment", "api", "-n", "shop", "--cascade=foreground"]).await.unwrap();
    assert_eq!(0, store::revisions(&cluster.store_address(), PODS).await.unwrap().len());

    let mut last = 0;
    let mut alive: BTreeMap<String, Value> = BTreeMap::new();
    let (mut born, mut gone) = (0, 0);
    while gone < 3 {
        let change = timeout(SOON, changes.recv()).await.expect("three pods go").unwrap();
        assert!(change.revision > last, "{} after {last}", change.revision);
        last = change.revision;
        match change.value {
            Some(pod) => born += u32::from(alive.insert(change.key, pod).is_none()),
            None => gone += u32::from(alive.remove(&change.key).is_some_and(|pod| pod["kind"] == "Pod")),
        }
    }
    assert_eq!((3, 0), (born, alive.len()));
    following.abort();
}

#[tokio::test]
async fn nothing_happens_to_a_deployment_while_the_controller_manager_is_away() {
    let cluster = Cluster::start(Options { nodes: 1, ..Options::default() }).await.unwrap();
    let client = cluster.client().await.unwrap();
    cluster.create_namespace("shop").await.unwrap();
    cluster.kill_controller_manager().unwrap();
    cluster.apply(&deployment("shop", "api").to_string()).await.unwrap();
    cluster.kill_kwok().unwrap();
    cluster.start_controller_manager().unwrap();
    until_pods(&client, "shop", 1).await;
    cluster.start_kwok().unwrap();
    until_ready(&client, "shop", "api", 1).await;
}

#[tokio::test]
async fn two_clusters_run_side_by_side_and_one_ends_alone() {
    let (one, two) = tokio::join!(Cluster::start(Options::default()), Cluster::start(Options::default()));
    let (one, two) = (one.unwrap(), two.unwrap());
    one.create_namespace("only-in-one").await.unwrap();
    assert!(two.kubectl(&["get", "namespace", "only-in-one"]).await.is_err());
    let (address, folder) = (one.server().replace("https://", ""), one.folder().path().to_owned());
    assert!(TcpStream::connect(&address).is_ok());
    drop(one);
    assert!(TcpStream::connect(&address).is_err());
    assert!(!folder.exists());
    two.wait_ready().await.unwrap();
}

#[tokio::test]
async fn a_start_that_fails_shows_the_log_of_what_failed() {
    let options = Options { apiserver_flags: vec!["--no-such-flag".to_owned()], ..Options::default() };
    let error = Cluster::start(options).await.unwrap_err().to_string();
    assert!(error.contains("kube-apiserver ended with exit status: 1"), "{error}");
    assert!(error.contains("unknown flag: --no-such-flag"), "{error}");
}
