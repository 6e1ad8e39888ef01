//! Budgets as the controller leaves them, recorded for programs that read their health: `tests/kstatus` checks kstatus
//! against them, and the script for Argo CD.
//!
//! This test fails if a record differs from what the controller writes now; `POOLBUDGET_RECORD=1` records anew.

use std::path::PathBuf;
use std::thread;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use poolbudget::api::{DbConnectionBudget, EvictionPolicy, Mode, crd};
use serde_json::json;

use super::cluster::{Cluster, part};
use super::crashes::settled;
use super::term::{Term, now};

/// Asks for the records to be written anew.
pub(super) const RECORD: &str = "POOLBUDGET_RECORD";

type Situation = (&'static str, fn() -> DbConnectionBudget);

const SITUATIONS: [Situation; 16] = [
    ("unseen", unseen),
    ("settled", || left_by(&settled("Current", &[("api", 2)]))),
    ("waiting", || after(2, |cluster| cluster.scale("web", 1))),
    ("edited", || after(0, |cluster| cluster.server().edit_budget(|spec| spec.reserved = 2))),
    ("coming-down", || {
        after(1, |cluster| cluster.server().edit_budget(|spec| spec.limit.connections = Some(5)))
    }),
    ("invalid-limit", || after(2, |cluster| cluster.server().edit_budget(|spec| spec.reserved = 14))),
    ("unsupported", || after(2, misannotated)),
    ("does-not-fit", || after(2, |cluster| cluster.scale("api", 20))),
    ("ceiling-does-not-fit", || {
        after(2, |cluster| {
            let entry = json!([{"name": "api", "maxReplicas": 20}]);
            cluster.server().edit_budget(|spec| {
                spec.sizing = part(json!({"basis": "Ceiling"}));
                spec.workloads = part(entry);
            });
        })
    }),
    ("one-pod-does-not-fit", || {
        after(2, |cluster| {
            let entry = json!([{"name": "web", "connectionsPerProcess": {"min": 20}}]);
            cluster.server().edit_budget(|spec| spec.workloads = part(entry));
            cluster.scale("web", 1);
        })
    }),
    ("eviction-forbidden", || {
        after(10, |cluster| {
            cluster.server().edit_budget(|spec| spec.eviction_policy = EvictionPolicy::Forbidden);
            cluster.scale("web", 1);
        })
    }),
    ("disruption-budget", || {
        after(10, |cluster| {
            let names = cluster.server().names_of("api");
            cluster.server().protected = names.into_iter().map(|name| (name, "api".to_owned())).collect();
            cluster.scale("web", 1);
        })
    }),
    ("bad-revision", || {
        after(70, |cluster| {
            cluster.sick = true;
            cluster.scale("api", 1);
            cluster.scale("web", 1);
        })
    }),
    ("observe", || after(2, |cluster| cluster.server().edit_budget(|spec| spec.mode = Mode::Observe))),
    ("deleted", || {
        let mut budget = left_by(&settled("Current", &[("api", 2)]));
        budget.metadata.deletion_timestamp = Some(Time(now()));
        budget
    }),
    ("status-refused", || {
        after(5, |cluster| {
            cluster.server().largest = 4_000;
            (0..30).for_each(|n| cluster.scale(&format!("web-{n}"), 1));
        })
    }),
];

/// As `kubectl get` shows it before any controller has seen it: with the schema's defaults.
fn unseen() -> DbConnectionBudget {
    let cluster = Cluster::new(14, "Current");
    let mut budget = left_by(&cluster);
    let schema = serde_json::to_value(crd()).expect("a definition");
    let filled_in = "/spec/versions/0/schema/openAPIV3Schema/properties/status/default";
    budget.status =
        serde_json::from_value(schema.pointer(filled_in).expect("a default").clone()).expect("a status");
    budget
}

/// Two pods run, and then something happens.
fn after(turns: usize, happens: impl FnOnce(&mut Cluster)) -> DbConnectionBudget {
    let mut cluster = settled("Current", &[("api", 2)]);
    let mut term = Term::begin(&cluster);
    cluster.turns(&mut term, 2);
    happens(&mut cluster);
    cluster.turns(&mut term, turns);
    left_by(&cluster)
}

fn left_by(cluster: &Cluster) -> DbConnectionBudget {
    cluster.server().budget.clone().expect("a budget")
}

fn misannotated(cluster: &mut Cluster) {
    let mut server = cluster.server();
    let mut deployment = server.deployments["api"].clone();
    deployment["spec"]["template"]["metadata"]["annotations"]["poolbudget.dev/processes"] = json!("many");
    server.store_deployment("api", deployment);
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/kstatus/testdata")
}

#[test]
fn the_records_are_what_the_controller_writes() {
    for (name, situation) in SITUATIONS {
        // Each test thread has its own clock.
        let budget = thread::spawn(situation).join().expect("a budget");
        let mut object = serde_json::to_value(&budget).expect("JSON");
        let metadata = object["metadata"].as_object_mut().expect("metadata");
        metadata.retain(|key, _| !["uid", "resourceVersion"].contains(&key.as_str()));
        let text = serde_yaml::to_string(&object).expect("YAML");
        let file = folder().join(format!("{name}.yaml"));
        if std::env::var_os(RECORD).is_some() {
            std::fs::write(&file, &text).expect("a file");
        }
        let recorded = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(text == recorded, "{name} is not as recorded ({RECORD}=1 writes it anew):\n{text}");
    }
}
