//! `poolbudget plan` with Jobs and CronJobs that one label makes one workload.

use crate::ran::plan;

const LABELS: &str = "metadata: {labels: {poolbudget.dev/budget: main, poolbudget.dev/workload: import}}";

fn budget(more: &str) -> String {
    format!(
        "apiVersion: poolbudget.dev/v1beta1
kind: DbConnectionBudget
metadata: {{name: main}}
spec:
  limit: {{connections: 14}}
  reserved: 2
{more}
"
    )
}

fn job(name: &str, spec: &str) -> String {
    let template = format!("template: {{{LABELS}, spec: {{containers: [{{name: app}}]}}}}");
    format!("---\napiVersion: batch/v1\nkind: Job\nmetadata: {{name: {name}}}\nspec: {{{spec} {template}}}\n")
}

fn cron_job(name: &str) -> String {
    let template = format!("template: {{{LABELS}, spec: {{containers: [{{name: app}}]}}}}");
    format!(
        "---\napiVersion: batch/v1\nkind: CronJob\nmetadata: {{name: {name}}}\n\
         spec: {{concurrencyPolicy: Forbid, jobTemplate: {{spec: {{{template}}}}}}}\n"
    )
}

fn rows(input: &str) -> Vec<String> {
    let ran = plan(input, &[]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    let rows = ran.out.lines().filter(|line| line.contains("Job/") && !line.contains(": "));
    rows.map(|row| row.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn jobs_of_a_group_are_one_workload_and_the_entry_of_its_name_is_theirs() {
    let jobs = [job("a-1", ""), job("b-2", "parallelism: 2,")].concat();
    assert_eq!(rows(&(budget("") + &jobs)), ["Job/import 3 3 2+2 4 12"]);
    let entry = "  workloads: [{kind: Job, name: import, connectionsPerProcess: {max: 3}}]";
    assert_eq!(rows(&(budget(entry) + &jobs)), ["Job/import 3 3 1+2 3 9"]);
}

#[test]
fn cron_jobs_of_a_group_keep_room_for_a_run_of_each() {
    let both = [cron_job("day"), cron_job("night"), job("now", "")].concat();
    assert_eq!(rows(&(budget("") + &both)), ["Job/import 1 (max 3) 3 2+2 4 12"]);
    let most = "  workloads: [{kind: Job, name: import, maxReplicas: 6}]";
    assert_eq!(rows(&(budget(most) + &both)), ["Job/import 1 (max 6) 6 1+1 2 12"]);
}

#[test]
fn what_does_not_fit_is_told_of_the_group() {
    let ran = plan(&(budget("") + &job("a-1", "parallelism: 9,") + &job("b-2", "parallelism: 9,")), &[]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.out.contains("Job/import: 18 pods × 1 = 18 connections, 12 usable"), "{}", ran.out);
}
