//! A budget with very many pods or workloads: the API server accepts its status, and every pod is served.

use super::cluster::{Cluster, pod};
use super::server::gated;
use super::term::{Term, pass};

/// What etcd accepts by default, less what the API server adds.
const ETCD: usize = 1_400_000;

/// The longest possible pod name.
fn long(name: &str) -> String {
    format!("{name}-{}", "x".repeat(253 - name.len() - 1))
}

/// This many workloads with this many waiting pods each, all with the longest names; no sum is too much.
fn crowd(workloads: usize, pods: usize) -> (Cluster, Term) {
    let mut cluster = Cluster::new(1_000_000, "Current");
    cluster.server().usable = u64::MAX;
    cluster.server().largest = ETCD;
    for w in 0..workloads {
        let name = long(&format!("w{w}"));
        cluster.scale(&name, u32::try_from(pods).expect("few"));
        let mut server = cluster.server();
        for p in 0..pods {
            let mut pod = pod(&name, &format!("00000000-0000-4000-8000-{w:06}{p:06}"), true);
            let pod_name = long(&format!("p{w}-{p}"));
            pod["metadata"]["name"] = pod_name.clone().into();
            server.pods.insert(pod_name, pod);
        }
    }
    let term = Term::begin(&cluster);
    (cluster, term)
}

/// Looks until no pod waits; returns the number of looks.
fn serve(cluster: &Cluster, term: &mut Term) -> usize {
    for looks in 1..200 {
        term.look();
        term.catch_up();
        pass(1);
        if !cluster.server().pods.values().any(gated) {
            return looks;
        }
    }
    let waiting = cluster.server().pods.values().filter(|pod| gated(pod)).count();
    panic!("{waiting} wait, {} bytes were sent", cluster.server().sent);
}

#[test]
fn ten_thousand_pods_that_come_at_once_are_granted_in_batches_that_etcd_takes() {
    let (cluster, mut term) = crowd(1, 10_000);
    let looks = serve(&cluster, &mut term);
    assert!(looks <= 60, "{looks} looks");
    assert!(cluster.server().sent < 500_000, "{} bytes", cluster.server().sent);
}

#[test]
fn of_five_thousand_workloads_all_are_served_and_the_status_names_as_many_as_it_can() {
    let (cluster, mut term) = crowd(5_000, 1);
    serve(&cluster, &mut term);
    let status = cluster.server().status();
    assert_eq!((status.workloads.len(), status.more_workloads), (700, 4_300));
    assert!(cluster.server().sent < ETCD, "{} bytes", cluster.server().sent);
}

#[test]
fn a_status_that_is_refused_is_said_in_the_one_of_before_and_once() {
    let (cluster, mut term) = crowd(1, 50);
    cluster.server().largest = 4_000;
    for _ in 0..5 {
        term.look();
        term.catch_up();
        pass(10);
    }
    let server = cluster.server();
    let blocked = server.told("Blocked", "True", "StatusRefused");
    assert!(blocked.ends_with("etcdserver: request is too large"), "{}", blocked);
    assert_eq!(server.said.iter().filter(|said| said.reason == "StatusRefused").count(), 1);
    assert!(server.pods.values().all(gated), "nothing is granted that is not recorded");
    drop(server);
    cluster.server().largest = 0;
    serve(&cluster, &mut term);
    assert_eq!(cluster.server().condition("Blocked").reason, "NotBlocked");
}
