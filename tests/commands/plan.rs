//! `poolbudget plan`: does it fit, and what does it say of it.

use insta::assert_snapshot;
use testkit::admission::CheckCase;

use crate::ran::{inject, plan, poolbudget};

const BUDGET: &str = "
apiVersion: poolbudget.dev/v1beta1
kind: DbConnectionBudget
metadata: {name: main}
spec:
  limit: {supabase: {plan: Free, connection: Session}}
  reserved: 2
";

fn deployment(name: &str, replicas: u32, more: &str) -> String {
    format!(
        "---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  labels: {{poolbudget.dev/budget: main}}
  annotations: {{{more}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: api}}}}
  template: {{spec: {{containers: [{{name: app, image: app}}]}}}}
"
    )
}

fn autoscaler(name: &str, most: u32) -> String {
    format!(
        "---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: {name}}}
spec:
  maxReplicas: {most}
  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: {name}}}
"
    )
}

#[test]
fn what_fits_is_shown_with_the_sizes_of_the_operator() {
    let ran = plan(&format!("{BUDGET}{}{}", deployment("api", 2, ""), autoscaler("api", 6)), &[]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert_snapshot!(ran.out);
}

#[test]
fn what_does_not_fit_is_told_with_the_arithmetic_and_the_ways_out() {
    let ran = plan(&format!("{BUDGET}{}", deployment("api", 20, "poolbudget.dev/processes: '4'")), &[]);
    assert_eq!((ran.code, ran.err.as_str()), (1, ""));
    assert_snapshot!(ran.out);
}

#[test]
fn several_workloads_share_a_budget_and_each_has_its_line() {
    let input = format!(
        "{BUDGET}  workloads: [{{name: api, weight: 2, connectionsPerProcess: {{min: 2}}}}]\n{}{}{}",
        deployment("api", 3, ""),
        deployment("worker", 1, "poolbudget.dev/processes: '2'"),
        autoscaler("api", 12),
    );
    let ran = plan(&input, &[]);
    assert_eq!((ran.code, ran.err.as_str()), (1, ""));
    assert_snapshot!(ran.out);
}

/// A budget of this limit, one of which is kept back, with a workload of a profile.
fn profiled(limit: u32, more: &str, workload: &str) -> String {
    format!(
        "
apiVersion: poolbudget.dev/v1beta1
kind: DbConnectionBudget
metadata: {{name: main}}
spec: {{limit: {{connections: {limit}}}, reserved: 1{more}}}
{workload}"
    )
}

fn keycloak(replicas: u32) -> String {
    deployment("sso", replicas, "poolbudget.dev/profile: Keycloak")
        .replace("kind: Deployment", "kind: StatefulSet")
}

#[test]
fn no_pod_is_planned_below_the_fewest_connections_that_its_profile_starts_with() {
    let ran = plan(&profiled(14, "", &keycloak(6)), &[]);
    assert_eq!((ran.code, ran.err.as_str()), (1, ""));
    let sum = "6 pods × 4 (profile Keycloak needs at least 4 connections) = 24 connections, 13 usable; largest safe \
               replicas: 3";
    assert!(ran.out.contains(sum), "{}", ran.out);
    let ecto = deployment("phx", 10, "poolbudget.dev/profile: Ecto");
    let ran = plan(&profiled(15, "", &ecto), &[]);
    assert_eq!((ran.code, ran.err.as_str()), (1, ""));
    let sum = "10 pods × 2 (profile Ecto needs at least 2 connections) = 20 connections, 14 usable";
    assert!(ran.out.contains(sum), "{}", ran.out);
    // What fits says it too.
    let ran = plan(&profiled(25, "", &keycloak(6)), &[]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(
        ran.out.contains("StatefulSet/sso: profile Keycloak needs at least 4 connections\n"),
        "{}",
        ran.out
    );
}

#[test]
fn the_fewest_connections_of_a_profile_hold_with_every_basis_and_no_advice_goes_below_them() {
    // The ladder plans six replicas as eight.
    for (basis, least) in [("Ceiling", 25), ("Ladder", 33), ("Current", 25)] {
        let more = format!(", sizing: {{basis: {basis}}}");
        assert_eq!(plan(&profiled(least - 1, &more, &keycloak(6)), &[]).code, 1, "{basis}");
        assert_eq!(plan(&profiled(least, &more, &keycloak(6)), &[]).code, 0, "{basis}");
    }
    let ran = plan(&profiled(14, ", defaults: {connectionsPerProcess: {min: 3}}", &keycloak(6)), &[]);
    let advice: Vec<&str> = ran.out.lines().filter_map(|line| line.strip_prefix("  - ")).collect();
    assert_eq!(
        advice,
        ["cap StatefulSet/sso at 3 replicas", "raise the limit to at least 25 connections"],
        "{}",
        ran.out
    );
    assert_eq!(plan(&profiled(25, "", &keycloak(6)), &[]).code, 0);
    assert_eq!(plan(&profiled(14, "", &keycloak(3)), &[]).code, 0);
}

#[test]
fn connections_beside_the_pool_are_planned_and_shown_with_it() {
    let extra = deployment("api", 1, "poolbudget.dev/extra-connections: '2'");
    let ran = plan(&profiled(11, "", &extra), &["--replicas", "api=1"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    // One pod and its surge pod share 10: 5 each, of which the pool gets 3.
    assert!(ran.out.contains("1+2+2"), "{}", ran.out);
    assert_eq!([plan(&profiled(6, "", &extra), &[]).code, plan(&profiled(7, "", &extra), &[]).code], [1, 0]);
    let bad = deployment("api", 1, "poolbudget.dev/extra-connections: '0'");
    let ran = plan(&profiled(11, "", &bad), &[]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("poolbudget.dev/extra-connections must be a whole number"), "{}", ran.err);
}

#[test]
fn what_wins_over_the_variables_of_a_profile_is_an_error_that_says_what_to_do() {
    let temporal = deployment("temporal", 1, "poolbudget.dev/profile: Temporal");
    assert_eq!(plan(&profiled(100, "", &temporal), &[]).code, 0);
    let by_chart = temporal.replace(
        "image: app",
        "image: app, volumeMounts: [{name: config, subPath: config_template.yaml, mountPath: \
         /etc/temporal/config/config_template.yaml}]",
    );
    let ran = plan(&profiled(100, "", &by_chart), &[]);
    assert_eq!(ran.code, 2);
    let why = "Deployment default/temporal: container app: it has a volume at \
               /etc/temporal/config/config_template.yaml, which wins over SQL_MAX_CONNS and SQL_VIS_MAX_CONNS; \
               remove it, or use the profile Counted with poolbudget.dev/connections-per-process";
    assert!(ran.err.contains(why), "{}", ran.err);
    let injected = inject(&by_chart, &[]);
    let note = format!(
        "note: {}",
        why.replace("default/", "").replace("Deployment temporal", "Deployment/temporal")
    );
    assert!(injected.code == 0 && injected.err.contains(&note), "{}", injected.err);
    let counted = by_chart
        .replace("profile: Temporal", "profile: Counted, poolbudget.dev/connections-per-process: '30'");
    let ran = plan(&profiled(100, "", &counted), &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("its size is counted, not governed"), "{}", ran.err);
}

#[test]
fn a_larger_minimum_of_the_budget_wins_over_that_of_the_profile_and_a_smaller_does_not() {
    let of = |min: u32, limit: u32| {
        plan(
            &profiled(limit, &format!(", defaults: {{connectionsPerProcess: {{min: {min}}}}}"), &keycloak(2)),
            &[],
        )
    };
    assert_eq!([of(5, 10).code, of(5, 11).code, of(2, 8).code, of(2, 9).code], [1, 0, 1, 0]);
    let ran = of(5, 10);
    assert!(!ran.out.contains("Keycloak") && ran.out.contains("2 pods × 5 = 10"), "{}", ran.out);
}

#[test]
fn each_advice_is_enough_when_it_is_followed() {
    let input = |min: u32, processes: u32, replicas: u32| {
        let entry = format!("  workloads: [{{name: api, connectionsPerProcess: {{min: {min}}}}}]\n");
        let processes = format!("poolbudget.dev/processes: '{processes}'");
        plan(&format!("{BUDGET}{entry}{}", deployment("api", replicas, &processes)), &[])
    };
    let ran = input(3, 3, 4);
    assert_eq!(ran.code, 1);
    let advice: Vec<&str> = ran.out.lines().filter_map(|line| line.strip_prefix("  - ")).collect();
    assert_eq!(
        advice[..3],
        [
            "run Deployment/api with 1 process in each pod instead of 3",
            "lower connectionsPerProcess.min of Deployment/api from 3 to 1",
            "if the app needs no session state, use transaction mode (port 6543, connection: Transaction): it allows 200 \
         clients",
        ]
    );
    assert_eq!([input(3, 1, 4).code, input(3, 2, 4).code], [0, 1]);
    assert_eq!([input(1, 3, 4).code, input(2, 3, 4).code], [0, 1]);
}

#[test]
fn the_examples_fit_once_the_workload_bears_the_label() {
    let examples = ["plan", "-f", "examples/free-tier.yaml", "-f", "examples/shop.yaml"];
    let ran = poolbudget(&[&examples[..], &["--label", "api=main"]].concat(), "");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(
        ran.out.contains("Deployment/api  2         3 (2 + 1 surge)  2+2                4     12\n"),
        "{}",
        ran.out
    );
    let ran = poolbudget(&examples, "");
    assert_eq!(ran.code, 2);
    assert!(
        ran.out.contains("no workload in the input has its label; try one with --label NAME=main"),
        "{}",
        ran.out
    );
    assert_eq!(
        ran.err,
        "error: no workload in the input has the label of a budget, so there is nothing to plan: add the \
         label poolbudget.dev/budget: main to one, or try it with --label NAME=main\n"
    );
    assert!(!ran.out.contains("fits"), "{}", ran.out);
}

/// The rows of examples/budgets/README.md, and what one replica more would do.
#[test]
fn the_budget_of_each_environment_fits_as_its_page_says_and_one_replica_more_does_not() {
    let page = std::fs::read_to_string("examples/budgets/README.md").unwrap();
    let of = |file: &str, name: &str, replicas: u32| {
        let (file, label) = (format!("examples/budgets/{file}"), format!("shop={name}"));
        let replicas = format!("shop={replicas}");
        let app = "examples/fastapi/deploy/deployment.yaml";
        poolbudget(&["plan", "-f", &file, "-f", app, "--label", &label, "--replicas", &replicas], "")
    };
    let rows = [
        ("development.yaml", "development", 15, 9, "1+0", 4, 1),
        ("../free-tier.yaml", "main", 15, 2, "1+0", 4, 3),
        ("pro.yaml", "pro", 57, 33, "1+0", 4, 6),
        ("high-traffic.yaml", "high-traffic", 200, 20, "2+3", 20, 9),
    ];
    for (file, name, limit, reserved, size, pod, replicas) in rows {
        let ran = of(file, name, replicas);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{file}");
        let head = format!("limit {limit}   reserved {reserved}   usable {}\n", limit - reserved);
        assert!(ran.out.contains(&head), "{}", ran.out);
        let row = ran.out.lines().find(|line| line.starts_with("Deployment/shop ")).unwrap();
        let cells: Vec<&str> = row.split_whitespace().rev().take(3).collect();
        assert_eq!(cells, [(pod * replicas).to_string(), pod.to_string(), size.to_owned()], "{file}");
        let (size, plural) = (size.replace('+', " + "), if replicas == 1 { "" } else { "s" });
        let told = format!("| {limit} | {reserved} | {pod} ({size}): {replicas} replica{plural} |");
        assert!(page.lines().any(|line| line.contains(file) && line.ends_with(&told)), "{told}");
    }
    assert_eq!(of("../free-tier.yaml", "main", 4).code, 1);
    assert_eq!(of("development.yaml", "development", 2).code, 1);
    assert_eq!(of("pro.yaml", "pro", 7).code, 1);
}

/// With what these notes recommend for each process, four processes do not fit where the notes say that they do.
#[test]
fn the_numbers_that_people_pass_around_do_not_fit_their_environments() {
    let app = std::fs::read_to_string("examples/fastapi/deploy/deployment.yaml").unwrap();
    for (file, name, connections) in [
        ("development.yaml", "development", 5),
        ("../free-tier.yaml", "main", 15),
        ("pro.yaml", "pro", 30),
        ("high-traffic.yaml", "high-traffic", 30),
    ] {
        let budget = std::fs::read_to_string(format!("examples/budgets/{file}")).unwrap();
        let most = format!("connectionsPerProcess: {{min: {connections}}}");
        let budget = match budget.contains("{name: shop, ") {
            true => budget.replace("{name: shop, ", &format!("{{name: shop, {most}, ")),
            false => format!("{budget}  workloads: [{{name: shop, {most}}}]\n"),
        };
        let label = format!("shop={name}");
        let ran = plan(&format!("{budget}---\n{app}"), &["--label", &label]);
        assert_eq!(ran.code, 1, "{file}: {}{}", ran.out, ran.err);
    }
}

#[test]
fn the_example_application_and_its_migration_fit_beside_each_other() {
    let ran = poolbudget(&["plan", "-f", "examples/fastapi/deploy"], "");
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("fits: 13 of 13 usable connections are planned\n"), "{}", ran.out);
    let ran = poolbudget(&["plan", "-f", "examples/fastapi/deploy", "--replicas", "shop=4"], "");
    assert_eq!(ran.code, 1, "{}", ran.out);
    assert!(ran.out.contains("  - cap Deployment/shop at 3 replicas\n"), "{}", ran.out);
}

#[test]
fn each_what_if_changes_what_it_names() {
    let input = format!("{BUDGET}{}", deployment("api", 2, ""));
    let code = |arguments: &[&str]| plan(&input, arguments).code;
    assert_eq!(code(&["--replicas", "api=13"]), 0);
    assert_eq!(code(&["--replicas", "deployment/api=14"]), 1);
    assert_eq!(code(&["--processes", "api=4"]), 0);
    assert_eq!(code(&["--processes", "api=5"]), 1);
    assert_eq!(code(&["--limit", "5"]), 0);
    assert_eq!(code(&["--limit", "main=4"]), 1);
    assert_eq!(code(&["--replicas", "api=14", "--limit", "16"]), 0);
}

#[test]
fn a_what_if_of_an_unknown_name_lists_those_that_are_there() {
    let input = format!("{BUDGET}{}{}", deployment("api", 2, ""), deployment("web", 2, ""));
    let complaint = |arguments: &[&str]| {
        let ran = plan(&input, arguments);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""));
        ran.err
    };
    assert_eq!(
        complaint(&["--replicas", "spi=3"]),
        "poolbudget: --replicas spi: there is no such workload; the input has: Deployment/api, Deployment/web\n"
    );
    assert_eq!(
        complaint(&["--limit", "mine=3"]),
        "poolbudget: --limit mine=3: there is no such budget; the input has: main\n"
    );
    assert!(complaint(&["--processes", "api"]).contains("write it as NAME=VALUE, such as api=8"));
}

#[test]
fn a_limit_for_several_budgets_has_to_say_for_which() {
    let input = format!("{BUDGET}---{}{}", BUDGET.replace("main", "other"), deployment("api", 2, ""));
    let ran = plan(&input, &["--limit", "30"]);
    assert_eq!(ran.code, 2);
    assert_eq!(
        ran.err,
        "poolbudget: --limit 30: name the budget, as in --limit NAME=30; the input has: main, other\n"
    );
    assert_eq!(plan(&input, &["--limit", "other=30"]).code, 0);
}

#[test]
fn machines_get_documented_fields() {
    let input = format!("{BUDGET}{}---\nkind: Service\napiVersion: v1\n", deployment("api", 20, ""));
    let json = plan(&input, &["-o", "json"]);
    assert_eq!(json.code, 1);
    assert_snapshot!(json.out);
    let yaml = plan(&input, &["-o", "yaml"]);
    let read = |text: &str| serde_yaml::from_str::<serde_json::Value>(text).expect("a document");
    assert_eq!(read(&yaml.out), read(&json.out));
}

#[test]
fn a_label_in_the_template_counts_and_a_scaler_of_keda_is_a_ceiling() {
    let input = format!(
        "{BUDGET}---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: api}}
spec:
  selector: {{matchLabels: {{app: api}}}}
  template:
    metadata: {{labels: {{poolbudget.dev/budget: main}}}}
    spec: {{containers: [{{name: app}}]}}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {{name: api}}
spec: {{scaleTargetRef: {{name: api}}, maxReplicaCount: 6}}
"
    );
    let ran = plan(&input, &[]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(
        ran.out.contains("Deployment/api  1 (max 6)  6      1+1                2     12\n"),
        "{}",
        ran.out
    );
}

/// What is wrong with the input, and the exit code 2.
fn problems(input: &str) -> String {
    let ran = plan(input, &[]);
    assert_eq!(ran.code, 2, "{}{}", ran.out, ran.err);
    ran.err
}

#[test]
fn a_workload_whose_budget_is_not_in_the_input_is_no_yes() {
    assert_eq!(
        problems(&deployment("api", 2, "")),
        "error: Deployment default/api has the label of the budget main, which is not in the input: pass its file \
         too, with another -f\n"
    );
    let elsewhere = BUDGET.replace("{name: main}", "{name: main, namespace: shop}");
    assert_eq!(
        problems(&format!("{elsewhere}{}", deployment("api", 2, ""))),
        "error: Deployment default/api has the label of the budget main, which is not in the input: there is one in \
         the namespace shop, but a budget applies only to its own namespace\n"
    );
    assert_eq!(plan(&format!("{elsewhere}{}", deployment("api", 2, "")), &["-n", "shop"]).code, 0);
}

#[test]
fn an_input_without_a_budget_is_no_yes() {
    assert_eq!(
        problems("apiVersion: v1\nkind: Service\n"),
        "error: there is no DbConnectionBudget in the input: pass its file too, with another -f\n"
    );
}

#[test]
fn what_cannot_be_read_is_named_by_place_and_field_and_the_rest_is_planned() {
    let broken = deployment("web", 2, "").replace("replicas: 2", "replicas: two");
    let ran = plan(&format!("{BUDGET}{}{broken}---\na: [\n", deployment("api", 2, "")), &[]);
    assert_eq!(ran.code, 2);
    let lines: Vec<&str> = ran.err.lines().collect();
    assert!(lines[1].starts_with("error: stdin, document 4 (line 30): "), "{lines:?}");
    assert_eq!(
        lines[0],
        "error: stdin, document 3 (line 19): Deployment/web: spec.replicas must be a whole number; it is the string \"two\""
    );
    assert!(ran.out.contains("Deployment/api"), "{}", ran.out);
}

#[test]
fn a_budget_that_the_cluster_would_refuse_is_wrong_input() {
    let refused =
        |limit: &str| problems(&BUDGET.replace("{supabase: {plan: Free, connection: Session}}", limit));
    assert_eq!(
        refused("{connections: 5, postgres: {maxConnections: 5}}"),
        "error: DbConnectionBudget default/main: set exactly one of limit.supabase, limit.connections, \
         limit.postgres\n"
    );
    assert_eq!(
        refused("{connections: 2}"),
        "error: DbConnectionBudget default/main: reserved is 2 of 2 connections: nothing is left for the workloads; \
         lower spec.reserved\n"
    );
    assert_eq!(
        refused("{supabase: {plan: Hobby, connection: Session}, conections: 5}"),
        "error: stdin, document 1 (line 1): DbConnectionBudget/main: spec.limit.conections: there is no such field; \
         the fields are: connections, postgres, supabase, verify\n\
         error: stdin, document 1 (line 1): DbConnectionBudget/main: spec.limit.supabase.plan must be one of Free, \
         Pro, Team, Enterprise; it is \"Hobby\"\n"
    );
}

#[test]
fn an_annotation_that_the_cluster_would_refuse_is_wrong_input() {
    let input = format!("{BUDGET}{}", deployment("api", 2, "poolbudget.dev/processes: 'four'"));
    assert_eq!(
        problems(&input),
        "error: Deployment default/api: poolbudget.dev/processes must be a whole number from 1 to 1000, in digits only and without leading zeros, or such numbers by container, as in app=4,migrate=1; it says 'four'\n"
    );
}

/// A workload of any kind, with `spec` in front of its pod template.
fn workload(version: &str, kind: &str, spec: &str) -> String {
    format!(
        "---
apiVersion: {version}
kind: {kind}
metadata: {{name: it, labels: {{poolbudget.dev/budget: main}}}}
spec: {{{spec} selector: {{matchLabels: {{app: api}}}}, template: {{spec: {{containers: [{{name: app}}]}}}}}}
"
    )
}

#[test]
fn every_kind_is_counted_by_its_own_rules() {
    let row = |manifest: &str, arguments: &[&str]| {
        let ran = plan(&format!("{BUDGET}{manifest}"), arguments);
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
        let row = ran.out.lines().nth(3).expect("a row").split_whitespace().collect::<Vec<_>>().join(" ");
        (row, ran.err)
    };
    let quiet = |row: &str| (row.to_owned(), String::new());
    assert_eq!(
        row(&workload("apps/v1", "StatefulSet", "replicas: 3,"), &[]),
        quiet("StatefulSet/it 3 3 2+2 4 12")
    );
    assert_eq!(
        row(&workload("apps/v1", "ReplicaSet", "replicas: 3,"), &[]),
        quiet("ReplicaSet/it 3 3 2+2 4 12")
    );
    assert_eq!(
        row(&workload("apps/v1", "DaemonSet", ""), &["--replicas", "it=3"]),
        quiet("DaemonSet/it 3 3 2+2 4 12")
    );
    assert_eq!(row(&workload("batch/v1", "Job", "parallelism: 2,"), &[]), quiet("Job/it 2 2 2+4 6 12"));
    let run = workload("batch/v1", "CronJob", "concurrencyPolicy: Forbid, jobTemplate: {spec: {")
        .trim_end()
        .to_owned()
        + "}}\n";
    assert_eq!(row(&run, &[]), quiet("CronJob/it 0 (max 1) 1 5+8 13 13"));
    let (_, note) = row(&run.replace("Forbid", "Allow"), &[]);
    assert!(note.starts_with("warning: CronJob default/it: concurrencyPolicy Allow sets no bound"), "{note}");
}

#[test]
fn pods_that_nothing_replaces_are_counted_by_their_label() {
    let pod = |name: &str, more: &str| {
        format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{poolbudget.dev/budget: main}}{more}}}\nspec: {{containers: [{{name: a}}]}}\n"
        )
    };
    let owned = pod("c", ", ownerReferences: [{kind: ReplicaSet}]");
    let ran = plan(&format!("{BUDGET}{}{}{owned}", pod("a", ""), pod("b", "")), &[]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.out.contains("  2         2      2+4                6     12\n"), "{}", ran.out);
}

#[test]
fn the_pods_of_a_daemon_set_have_to_be_told() {
    assert_eq!(
        problems(&format!("{BUDGET}{}", workload("apps/v1", "DaemonSet", ""))),
        "error: DaemonSet default/it has a pod on each node, and manifests do not say how many nodes there are: set the \
         number with --replicas DaemonSet/it=N, or with maxReplicas in the budget's entry for it\n"
    );
    let entry = "  workloads: [{kind: DaemonSet, name: it, maxReplicas: 5}]\n";
    assert_eq!(plan(&format!("{BUDGET}{entry}{}", workload("apps/v1", "DaemonSet", "")), &[]).code, 0);
}

#[test]
fn a_listed_workload_without_the_label_is_warned_of() {
    let unlabelled = deployment("api", 2, "").replace("  labels: {poolbudget.dev/budget: main}\n", "");
    let web = deployment("web", 2, "");
    let ran = plan(&format!("{BUDGET}  workloads: [{{name: api}}]\n{unlabelled}{web}"), &[]);
    assert_eq!(ran.code, 0);
    assert_eq!(
        ran.err,
        "warning: Deployment default/api is listed in the budget main but does not have its label, so it is not \
         counted: add the label poolbudget.dev/budget: main\n"
    );
}

#[test]
fn of_an_object_that_is_there_twice_the_last_one_counts_and_that_is_told() {
    let ran = plan(&format!("{BUDGET}{}{}", deployment("api", 20, ""), deployment("api", 2, "")), &[]);
    assert_eq!(ran.code, 0);
    assert_eq!(
        ran.err,
        "warning: Deployment default/api is in the input more than once, and the last one counts: stdin, document 2 (line 8); \
         stdin, document 3 (line 19)\n"
    );
}

#[test]
fn colours_are_for_those_who_want_them() {
    let input = format!("{BUDGET}{}", deployment("api", 20, ""));
    let plain = plan(&input, &[]).out;
    let coloured = plan(&input, &["--color", "always"]).out;
    assert!(!plain.contains('\u{1b}') && coloured.contains('\u{1b}'));
    let codes = ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[31m"];
    assert_eq!(codes.iter().fold(coloured, |text, code| text.replace(code, "")), plain);
}

/// Each advice was tried: with that change alone, everything fits.
#[test]
fn what_is_advised_for_a_workload_of_which_not_one_pod_fits_is_enough_for_all() {
    let with = |processes: u32| {
        let many = format!("poolbudget.dev/processes: '{processes}'");
        let budget = BUDGET.replace("supabase: {plan: Free, connection: Session}", "connections: 15");
        format!("{budget}{}{}", deployment("api", 2, ""), deployment("bad", 2, &many))
    };
    let ran = plan(&with(20), &["-o", "json"]);
    assert_eq!(ran.code, 1);
    let told: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let advice = told["budgets"][0]["advice"].as_array().unwrap();
    let to: Vec<(&str, u64)> =
        advice.iter().map(|a| (a["action"].as_str().unwrap(), a["to"].as_u64().unwrap())).collect();
    let [("FewerProcesses", fewer), ("RaiseLimit", limit)] = to.as_slice() else { panic!("{advice:?}") };
    assert_eq!(plan(&with(u32::try_from(*fewer).unwrap()), &[]).code, 0);
    assert_eq!(plan(&with(20), &["--limit", &limit.to_string()]).code, 0);
    assert_eq!(plan(&with(20), &["--limit", &(limit - 1).to_string()]).code, 1);
}

/// The table that policies and webhook are held to.
#[test]
fn what_admission_refuses_is_refused_offline_in_the_same_words() {
    for case in CheckCase::all() {
        let named = BUDGET.replace("name: main", &format!("name: {:?}, namespace: default", case.budget));
        let [_, _, (_, deployment), _] = case.objects();
        for command in ["plan", "inject"] {
            let ran = poolbudget(&[command, "-f", "-"], &format!("{named}---\n{deployment}\n"));
            let said = format!("{command}: {}: {}{}", case.name, ran.out, ran.err);
            match case.refusal(true) {
                Some(refusal) => {
                    assert_eq!(ran.code, 2, "{said}");
                    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
                    assert!(words.contains(refusal.sentence.trim()), "{said}");
                }
                None => assert_ne!(ran.code, 2, "{said}"),
            }
        }
    }
}

fn unserved(api_version: &str, kind: &str, spec: &str) -> String {
    format!("---\napiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: worker}}\nspec: {spec}\n")
}

#[test]
fn pods_of_a_kind_that_is_not_served_are_an_error_that_names_it() {
    let pods =
        "{metadata: {labels: {poolbudget.dev/budget: main}}, spec: {containers: [{name: app, image: a}]}}";
    let inner = format!(
        "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: a}}, spec: {{template: {pods}}}}}"
    );
    for (api_version, kind, spec) in [
        (
            "keda.sh/v1alpha1",
            "ScaledJob",
            format!("{{jobTargetRef: {{template: {pods}}}, maxReplicaCount: 500}}"),
        ),
        ("apps.openshift.io/v1", "DeploymentConfig", format!("{{replicas: 9, template: {pods}}}")),
        ("apps.kruise.io/v1alpha1", "CloneSet", format!("{{replicas: 9, template: {pods}}}")),
        ("serving.knative.dev/v1", "Service", format!("{{template: {pods}}}")),
        ("v1", "ReplicationController", format!("{{replicas: 9, template: {pods}}}")),
        ("batch.volcano.sh/v1alpha1", "Job", format!("{{tasks: [{{replicas: 9, template: {pods}}}]}}")),
        (
            "leaderworkerset.x-k8s.io/v1",
            "LeaderWorkerSet",
            format!("{{leaderWorkerTemplate: {{workerTemplate: {pods}}}}}"),
        ),
        ("template.openshift.io/v1", "Template", format!("{{objects: [{inner}]}}")),
    ] {
        let input = format!("{BUDGET}{}", unserved(api_version, kind, &spec));
        for command in ["plan", "inject"] {
            let ran = poolbudget(&[command, "-f", "-"], &input);
            assert_eq!(ran.code, 2, "{command} {kind}: {}", ran.out);
            let said = format!("{}{}", ran.out, ran.err);
            assert!(said.contains(kind) && said.contains(api_version), "{command} {kind}: {said}");
        }
    }
    // Without the label it is nobody's affair, and a Service that bears it makes no pods.
    let other = unserved("apps.kruise.io/v1alpha1", "CloneSet", "{template: {spec: {containers: []}}}");
    let service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: s, labels: {poolbudget.dev/budget: main}}\nspec: {}\n";
    let ran = plan(&format!("{BUDGET}{}{other}{service}", deployment("api", 1, "")), &[]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
}

#[test]
fn objects_whose_names_the_cluster_makes_are_as_many_as_there_are() {
    let job = "---
apiVersion: batch/v1
kind: Job
metadata: {generateName: import-, labels: {poolbudget.dev/budget: main}}
spec: {template: {spec: {containers: [{name: app, image: a}]}}}
";
    let ran = plan(&format!("{BUDGET}{job}{job}{job}"), &[]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let lines = ran.out.lines().filter(|line| line.starts_with("Job/import-") && line.contains('+'));
    assert_eq!(lines.count(), 3, "{}", ran.out);
}

#[test]
fn an_autoscaler_and_an_entry_without_their_workload_are_told() {
    let budget = format!("{BUDGET}  workloads: [{{name: wbe, weight: 3}}, {{kind: Job, name: api}}]\n");
    let ran = plan(&format!("{budget}{}{}", deployment("web", 1, ""), autoscaler("wbe", 9)), &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let said = format!("{}{}", ran.out, ran.err).split_whitespace().collect::<Vec<_>>().join(" ");
    for what in [
        "an entry for Deployment/wbe",
        "an entry for Job/api",
        "HorizontalPodAutoscaler default/wbe scales Deployment/wbe",
    ] {
        assert!(said.contains(what), "{what}: {said}");
    }
}

#[test]
fn what_is_full_at_the_ceiling_is_told_from_what_does_not_fit_now() {
    let ran = plan(&format!("{BUDGET}{}{}", deployment("api", 2, ""), autoscaler("api", 20)), &[]);
    assert_eq!(ran.code, 1);
    let told = "fits now, but not at the ceiling: Deployment/api: 20 pods × 1 = 20 connections, 13 usable; largest safe \
                replicas: 13. The current replicas need 3 connections and fit: lower maxReplicas to 13, for 1 each, or to 6, for 2 each";
    assert!(ran.out.contains(told), "{}", ran.out);
    for (most, size, code) in [(13, "1+0", 0), (6, "1+1", 0), (7, "1+0", 0), (14, "1+0", 1)] {
        let ran = plan(&format!("{BUDGET}{}{}", deployment("api", 2, ""), autoscaler("api", most)), &[]);
        assert_eq!((ran.code, ran.out.contains(size)), (code, true), "{most}: {}", ran.out);
    }
    let now = plan(&format!("{BUDGET}{}", deployment("api", 20, "")), &[]);
    assert!(now.out.contains("\ndoes not fit: Deployment/api: 20 pods"), "{}", now.out);
}

#[test]
fn a_rollout_without_an_extra_pod_is_advised_where_it_is_enough_and_a_smaller_minimum_only_where_there_is_one()
 {
    let one = deployment("api", 3, "poolbudget.dev/processes: '4'");
    let ran = plan(&format!("{BUDGET}{one}"), &[]);
    assert!(ran.out.contains("(3 pods + 1 surge) × 4 processes × 1 = 16 connections"), "{}", ran.out);
    let advice = "  - roll out Deployment/api with maxSurge: 0 and maxUnavailable: 1, without a surge pod\n";
    assert!(ran.out.contains(advice) && !ran.out.contains("connectionsPerProcess.min"), "{}", ran.out);
    let followed = one
        .replace("replicas: 3", "replicas: 3\n  strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}");
    assert_eq!(plan(&format!("{BUDGET}{followed}"), &[]).code, 0);
    let more = deployment("api", 4, "poolbudget.dev/processes: '4'");
    assert!(!plan(&format!("{BUDGET}{more}"), &[]).out.contains("maxSurge"));
}
