//! What stands in other objects: items of lists, the Jobs of a CronJob.

use crate::ran::{BUDGET, Ran, poolbudget};

fn run(command: &str, manifest: &str) -> Ran {
    poolbudget(&[command, "-f", "-"], &format!("{BUDGET}{manifest}"))
}

/// A Deployment in one line, with or without its type.
fn deployment(name: &str, types: &str) -> String {
    format!(
        "{{{types}metadata: {{name: {name}, labels: {{poolbudget.dev/budget: main}}}}, spec: {{replicas: 1, \
         selector: {{matchLabels: {{app: a}}}}, template: {{spec: {{containers: [{{name: app}}]}}}}}}}}"
    )
}

const TYPES: &str = "apiVersion: apps/v1, kind: Deployment, ";

#[test]
fn lists_within_lists_are_taken_apart_by_both() {
    let inner = format!("{{apiVersion: v1, kind: List, items: [{}]}}", deployment("inner", TYPES));
    let typed =
        format!("{{apiVersion: apps/v1, kind: DeploymentList, items: [{}]}}", deployment("typed", ""));
    let list = format!(
        "{{apiVersion: v1, kind: List, items: [{}, {inner}, {typed}]}}\n",
        deployment("outer", TYPES)
    );
    let plan = run("plan", &list);
    assert_eq!((plan.code, plan.err.as_str()), (0, ""), "{}", plan.out);
    for name in ["outer", "inner", "typed"] {
        assert!(plan.out.contains(&format!("Deployment/{name}  ")), "{}", plan.out);
    }
    let inject = run("inject", &list);
    assert_eq!((inject.code, inject.err.as_str()), (0, ""));
    assert_eq!(inject.out.matches("poolbudget.dev/connections").count(), 3, "{}", inject.out);
    // An item says no more of what it is than it did.
    assert_eq!(inject.out.matches("kind: Deployment\n").count(), 2, "{}", inject.out);
}

#[test]
fn items_that_are_no_objects_and_lists_without_end_are_told() {
    let bare = format!("{{apiVersion: v1, kind: List, items: [{}]}}", deployment("bare", ""));
    let half = format!(
        "{{apiVersion: apps/v1, kind: DeploymentList, items: [{}]}}",
        deployment("half", "kind: Deployment, ")
    );
    let deep = (0..11).fold(deployment("deep", TYPES), |inner, _| {
        format!("{{apiVersion: v1, kind: List, items: [{inner}]}}")
    });
    for (list, told) in [
        (bare, "apiVersion and kind are missing in an item of this list"),
        (half, "apiVersion is missing in this Deployment"),
        (deep, "lists are nested deeper than 10 levels"),
    ] {
        for command in ["plan", "inject"] {
            let ran = run(command, &list);
            assert_eq!((ran.code, ran.err.contains(told)), (2, true), "{command}: {}", ran.err);
        }
    }
}

#[test]
fn json_after_json_is_read_by_both() {
    let one = |name: &str| {
        serde_json::json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": name, "labels": {"poolbudget.dev/budget": "main"}},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": {"spec": {"containers": [{"name": "app"}]}}}})
    };
    let two = format!("{}{}\n", one("a"), one("b"));
    let budget = serde_json::json!({"apiVersion": "poolbudget.dev/v1beta1", "kind": "DbConnectionBudget",
        "metadata": {"name": "main"}, "spec": {"limit": {"connections": 15}}});
    let plan = poolbudget(&["plan", "-f", "-"], &format!("{budget} {two}"));
    assert_eq!((plan.code, plan.out.matches("Deployment/").count()), (0, 4), "{}{}", plan.out, plan.err);
    let inject = poolbudget(&["inject", "-f", "-"], &two);
    assert_eq!((inject.code, inject.out.matches("schedulingGates").count()), (0, 2), "{}", inject.err);
    let again = poolbudget(&["inject", "-f", "-"], &inject.out);
    assert_eq!(again.out, inject.out);
}

#[test]
fn a_labelled_object_that_another_one_made_is_not_said_to_be_nobody() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {poolbudget.dev/budget: main}, ownerReferences: [{kind: ReplicaSet, name: d}]}\n\
               spec: {containers: [{name: a}]}\n";
    let plan = run("plan", pod);
    let told = "error: Pod/p has the label of a budget, but ReplicaSet/d created it: pass the manifest of ReplicaSet/d instead\n";
    assert_eq!((plan.code, plan.err.as_str()), (2, told));
    let plan = run("plan", &format!("{pod}---\n{}", deployment("d", TYPES)));
    assert_eq!((plan.code, plan.err.as_str()), (0, ""));
}

/// A CronJob with metadata of its own, of its Jobs, and of their pods.
fn cron_job(own: &str, job: &str, pod: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: CronJob\nmetadata: {{name: nightly{own}}}\nspec:\n  concurrencyPolicy: Forbid\n  schedule: '* * * * *'\n  \
         jobTemplate:\n    metadata: {{{job}}}\n    spec:\n      template:\n        metadata: {{{pod}}}\n        \
         spec: {{restartPolicy: Never, containers: [{{name: c, image: x}}]}}\n"
    )
}

#[test]
fn what_a_cron_job_writes_on_its_jobs_counts_before_what_it_says_itself() {
    let label = "labels: {poolbudget.dev/budget: main}";
    let processes = |n: u32| format!("annotations: {{poolbudget.dev/processes: \"{n}\"}}");
    let own = |more: &str| format!(", {label}{more}");
    for (own, job, pod, expected) in [
        (own(""), processes(4), String::new(), 4),
        (own(&format!(", {}", processes(2))), processes(4), processes(3), 4),
        (own(&format!(", {}", processes(2))), String::new(), processes(3), 2),
        (String::new(), format!("{label}, {}", processes(4)), String::new(), 4),
        // Nobody copies what a CronJob says that no label governs; its Jobs have one.
        (format!(", {}", processes(2)), label.to_owned(), processes(3), 3),
        (format!(", {}", processes(2)), label.to_owned(), String::new(), 1),
    ] {
        let manifest = cron_job(&own, &job, &pod);
        let plan = run("plan", &manifest);
        let noun = if expected == 1 { "process" } else { "processes" };
        assert!(
            plan.out.contains(&format!("CronJob/nightly: {expected} {noun} in each pod")),
            "{manifest}{}{}",
            plan.out,
            plan.err
        );
        let inject = run("inject", &manifest);
        assert_eq!(
            (inject.code, inject.out.matches("poolbudget.dev/connections").count()),
            (0, 1),
            "{}",
            inject.err
        );
        let plan =
            poolbudget(&["plan", "-f", "-", "--processes", "nightly=5"], &format!("{BUDGET}{manifest}"));
        assert!(plan.out.contains("CronJob/nightly: 5 processes in each pod"), "{}{}", plan.out, plan.err);
    }
}

#[test]
fn a_label_on_the_jobs_wins_and_an_unknown_key_there_is_refused() {
    let manifest =
        cron_job(", labels: {poolbudget.dev/budget: main}", "labels: {poolbudget.dev/budget: other}", "");
    let plan = run("plan", &manifest);
    assert_eq!(
        (plan.code, plan.err.contains("CronJob default/nightly has the label of the budget other")),
        (2, true),
        "{}",
        plan.err
    );
    for key in ["annotations: {poolbudget.dev/process: \"4\"}", "labels: {poolbudget.dev/budgets: main}"] {
        let manifest = cron_job(", labels: {poolbudget.dev/budget: main}", key, "");
        for command in ["plan", "inject"] {
            let ran = run(command, &manifest);
            assert_eq!(
                (ran.code, ran.err.contains("unknown label or annotation")),
                (2, true),
                "{command} {key}: {}",
                ran.err
            );
        }
    }
}

#[test]
fn a_label_of_a_group_that_nobody_copies_into_the_pods_is_told() {
    let idle = "the label poolbudget.dev/workload only has an effect in the pod template, at spec.jobTemplate.spec.template.metadata.labels";
    let labels = "labels: {poolbudget.dev/budget: main, poolbudget.dev/workload: import}";
    for (own, job) in [(format!(", {labels}"), ""), (String::new(), labels)] {
        let manifest = cron_job(&own, job, "");
        assert!(run("plan", &manifest).err.contains(idle), "{job}");
        assert!(run("inject", &manifest).err.contains(idle), "{job}");
    }
    assert!(!run("plan", &cron_job(&format!(", {labels}"), "", labels)).err.contains(idle));
}
