//! `poolbudget plan` with settings for the whole budget: they hold where a workload has none of its own.

use crate::ran::plan;

/// 14 usable connections; Deployments of one pod without surge.
fn input(settings: &str, names: &[&str]) -> String {
    let workloads: String = names
        .iter()
        .map(|name| {
            format!(
                "---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, labels: {{poolbudget.dev/budget: main}}}}
spec: {{strategy: {{type: Recreate}}, selector: {{matchLabels: {{app: api}}}}, template: {{spec: {{containers: [{{name: app}}]}}}}}}
"
            )
        })
        .collect();
    format!(
        "apiVersion: poolbudget.dev/v1beta1
kind: DbConnectionBudget
metadata: {{name: main}}
spec:
  limit: {{connections: 15}}
{settings}
{workloads}"
    )
}

/// What each process of the workloads gets, in the order of their names.
fn sizes(settings: &str, names: &[&str]) -> Vec<String> {
    let ran = plan(&input(settings, names), &[]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    let rows = ran.out.lines().filter(|line| line.starts_with("Deployment/") && !line.contains(": "));
    rows.map(|row| row.split_whitespace().nth(3).expect("a size").to_owned()).collect()
}

#[test]
fn a_maximum_for_all_holds_for_workloads_without_an_entry() {
    assert_eq!(sizes("  defaults: {connectionsPerProcess: {max: 4}}", &["a", "b"]), ["2+2", "2+2"]);
    assert_eq!(sizes("", &["a", "b"]), ["3+4", "3+4"]);
}

#[test]
fn an_entry_says_what_it_says_and_the_rest_is_as_for_all() {
    let settings = "  defaults: {connectionsPerProcess: {max: 4}, weight: 2}\n  workloads: [{name: b, connectionsPerProcess: {max: 9}}]";
    assert_eq!(sizes(settings, &["a", "b"]), ["2+2", "3+6"]);
    let settings = "  defaults: {weight: 3}\n  workloads: [{name: b, weight: 1}]";
    assert_eq!(sizes(settings, &["a", "b"]), ["4+6", "2+2"]);
}

#[test]
fn a_minimum_for_all_that_is_too_large_is_advised_against() {
    let settings = "  defaults: {connectionsPerProcess: {min: 5}}";
    let ran = plan(&input(settings, &["a", "b", "c"]), &[]);
    assert_eq!(ran.code, 1, "{}", ran.out);
    assert!(ran.out.contains("  - lower defaults.connectionsPerProcess.min from 5 to 4\n"), "{}", ran.out);
    assert_eq!(sizes("  defaults: {connectionsPerProcess: {min: 4}}", &["a", "b", "c"]).len(), 3);
}
