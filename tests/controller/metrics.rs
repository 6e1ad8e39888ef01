//! What `/metrics` has of a budget that something happens to, recorded for the engine of Prometheus (`tests/prometheus`).
//!
//! This test fails if the series differ from those recorded; `POOLBUDGET_RECORD=1` records anew. Values may differ: some
//! are times.

use std::collections::BTreeSet;
use std::path::PathBuf;

use poolbudget::evidence;
use serde_json::json;

use super::cluster::{Cluster, part};
use super::crashes::settled;
use super::readings::{answers, with_clients};
use super::recorded::RECORD;
use super::term::Term;

/// Two pods hold all there is, a third one comes, and one of the two makes room; then a workload comes that never fits.
fn eventful() -> (Cluster, Term) {
    let mut cluster = settled("Current", &[("api", 2)]);
    let mut term = Term::begin(&cluster);
    cluster.scale("web", 1);
    assert!(cluster.run(&mut term));
    let entry = json!([{"name": "large", "connectionsPerProcess": {"min": 20}}]);
    let limit =
        json!({"connections": 15, "verify": {"postgres": {"secretRef": {"name": "db", "key": "url"}}}});
    cluster.server().edit_budget(|spec| {
        spec.workloads = part(entry);
        spec.limit = part(limit);
    });
    cluster.scale("large", 1);
    cluster.turns(&mut term, 20);
    let uses = br#"{"max": 1, "totalCount": 1, "idleCount": 0, "waitingCount": 0}"#;
    let reading = evidence::read(uses).expect("a reading");
    let pods: Vec<_> = term.reconciler.context.observed.world().pods.iter().cloned().collect();
    for pod in pods {
        term.reconciler.context.observed.world().see_evidence(&pod.namespace, &pod.name, &pod.uid, reading);
    }
    answers(&mut cluster, &mut term, with_clients(15, &[("psql", 7)]));
    (cluster, term)
}

fn file(path: &str) -> String {
    std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap_or_default()
}

/// Names and labels, without values and explanations.
fn series(text: &str) -> BTreeSet<&str> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit_once(' ')).map(|(series, _)| series).collect()
}

#[test]
fn the_recorded_series_are_those_that_the_controller_writes() {
    const FILE: &str = "tests/prometheus/testdata/metrics.txt";
    let (_, term) = eventful();
    let text = term.reconciler.context.metrics.render();
    if std::env::var_os(RECORD).is_some() {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(FILE);
        std::fs::write(path, &text).expect("a file");
    }
    assert_eq!(series(&text), series(&file(FILE)), "{RECORD}=1 records anew");
}

#[test]
fn the_numbers_are_those_of_the_status() {
    let (cluster, term) = eventful();
    let status = cluster.server().status();
    let text = term.reconciler.context.metrics.render();
    let of = |name: &str| {
        let start = format!("poolbudget_{name}{{namespace=\"shop\",budget=\"main\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_else(|| panic!("no {name}: {text}"))
    };
    let is = |name: &str, number: i64| assert_eq!(of(name), number.to_string(), "{name}");
    is("limit_connections", 14);
    is("reserved_connections", 1);
    is("usable_connections", 13);
    is("committed_connections", status.committed);
    is("waiting_pods", 1);
    is("foreign_pods", 0);
    is("open_connections", 7);
    // Two pods of one connection, one of one, and one of 20.
    is("least_connections", 23);
    let waited: i64 = of("oldest_wait_seconds").parse().expect("a number");
    assert!((25..=35).contains(&waited), "{waited}");
    for condition in &status.conditions {
        let number = match condition.status.as_str() {
            "True" => 1,
            "False" => 0,
            _ => -1,
        };
        let labels = format!("namespace=\"shop\",budget=\"main\",type=\"{}\"", condition.type_);
        assert!(text.contains(&format!("poolbudget_condition{{{labels}}} {number}\n")), "{labels}: {text}");
    }
    for workload in &status.workloads {
        let labels =
            format!("namespace=\"shop\",budget=\"main\",kind=\"Deployment\",workload=\"{}\"", workload.name);
        let line = format!("poolbudget_workload_slots{{{labels}}} {}\n", workload.slots);
        assert!(text.contains(&line), "{line}: {text}");
    }
}

#[test]
fn every_metric_is_explained() {
    let (_, term) = eventful();
    let text = term.reconciler.context.metrics.render();
    let page = file("docs/metrics.md");
    let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    // Prometheus itself adds the ending of counters; one row names three metrics of a workload.
    let is_named = |name: &str| {
        page.contains(&format!("`{name}`"))
            || page.contains(&format!("`{name}_total`"))
            || page.contains(&format!("`{}`", name.replace("poolbudget_workload", "")))
    };
    let missing: Vec<&str> = names.filter(|name| !is_named(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
