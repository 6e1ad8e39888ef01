//! `poolbudget plan`: how many processes it finds in what pods run, and where it says that the number comes from.

use serde_json::{Value, json};

use crate::ran::{Ran, poolbudget};

/// The share of public charts that has to be right, in percent.
const RIGHT: usize = 95;

fn plan(workloads: &[Value], arguments: &[&str]) -> Ran {
    let budget = json!({"apiVersion": "poolbudget.dev/v1beta1", "kind": "DbConnectionBudget", "metadata": {"name": "main"},
        "spec": {"limit": {"connections": 1000}, "reserved": 0}});
    let items = [&[budget], workloads].concat();
    let input = json!({"apiVersion": "v1", "kind": "List", "items": items});
    poolbudget(&[&["plan", "-f", "-"], arguments].concat(), &input.to_string())
}

fn deployment(name: &str, container: &Value, annotations: &Value) -> Value {
    let mut container = container.clone();
    container["name"] = "app".into();
    json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "labels": {"poolbudget.dev/budget": "main"}, "annotations": annotations},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": name}}, "template": {"spec": {"containers": [container]}}}})
}

/// The lines that say how many processes there are.
fn told(ran: &Ran) -> Vec<&str> {
    ran.out.lines().filter(|line| line.contains(" in each pod, ")).collect()
}

#[test]
fn workers_in_the_command_are_counted_and_a_bill_is_for_all_of_them() {
    let container = json!({"command": ["gunicorn", "-w", "9", "-k", "uvicorn.workers.UvicornWorker", "app:main"],
        "env": [{"name": "WEB_CONCURRENCY", "value": "9"}]});
    let ran = plan(&[deployment("api", &container, &json!({}))], &["--limit", "36"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    assert!(
        ran.out.contains("Deployment/api  3         4 (3 + 1 surge)  1+0                9     36\n"),
        "{}",
        ran.out
    );
    assert_eq!(told(&ran), ["Deployment/api: 9 processes in each pod, from `gunicorn -w 9`"]);
    let ran = plan(&[deployment("api", &container, &json!({}))], &["--limit", "35"]);
    assert_eq!(ran.code, 1, "9 in each of 3 pods and of one more that a rollout starts do not fit into 35");
}

#[test]
fn the_annotation_wins_and_a_contradiction_is_told() {
    let container = json!({"command": ["gunicorn", "-w", "4", "app"]});
    let annotated =
        |n: &str| plan(&[deployment("api", &container, &json!({"poolbudget.dev/processes": n}))], &[]);
    let ran = annotated("2");
    assert_eq!(
        told(&ran),
        [
            "Deployment/api: 2 processes in each pod, from the annotation poolbudget.dev/processes, though `gunicorn -w 4` says 4"
        ]
    );
    assert_eq!(
        ran.err,
        "warning: Deployment default/api: poolbudget.dev/processes says 2 and takes precedence, but `gunicorn -w 4` says 4\n"
    );
    let ran = annotated("4");
    assert_eq!(
        told(&ran),
        ["Deployment/api: 4 processes in each pod, from the annotation poolbudget.dev/processes"]
    );
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
}

#[test]
fn what_is_not_known_is_told_where_the_pod_points_to_more_than_one() {
    let of = |container: Value| plan(&[deployment("api", &container, &json!({}))], &[]);
    let ran = of(json!({"command": ["celery", "-A", "app", "worker"]}));
    assert_eq!(
        told(&ran),
        ["Deployment/api: 1 process in each pod, unknown: `celery worker` runs as many as the node has CPUs"]
    );
    assert!(ran.err.contains("set poolbudget.dev/processes"), "{}", ran.err);
    let quiet = of(json!({"image": "app", "envFrom": [{"secretRef": {"name": "app"}}]}));
    assert_eq!(
        told(&quiet),
        ["Deployment/api: 1 process in each pod, unknown: the image's entrypoint decides"]
    );
    assert_eq!((quiet.code, quiet.err.as_str()), (0, ""));
}

#[test]
fn an_app_of_another_profile_that_names_none_is_warned_of_and_counted_as_what_it_sets() {
    let env = json!([{"name": "SPRING_DATASOURCE_HIKARI_MAXIMUM_POOL_SIZE", "value": "30"}]);
    let app = json!({"env": env});
    let ran = plan(&[deployment("api", &app, &json!({}))], &[]);
    assert_eq!(
        ran.err,
        "warning: Deployment default/api: container app sets SPRING_DATASOURCE_HIKARI_MAXIMUM_POOL_SIZE, which the profile \
         HikariCP reads: set the annotation poolbudget.dev/profile to HikariCP\n"
    );
    assert!(ran.out.contains("without poolbudget: up to 120 connections"), "{}", ran.out);
    let ran = plan(&[deployment("api", &app, &json!({"poolbudget.dev/profile": "HikariCP"}))], &[]);
    assert_eq!(ran.err, "");
}

#[test]
fn the_annotation_that_makes_the_smallest_size_larger_is_named() {
    let ran = plan(&[deployment("api", &json!({}), &json!({"poolbudget.dev/extra-connections": "1"}))], &[]);
    let line = "Deployment/api: poolbudget.dev/extra-connections needs at least 2 connections\n";
    assert!(ran.out.contains(line) && !ran.out.contains("profile SQLAlchemy"), "{}", ran.out);
}

#[test]
fn a_number_that_nobody_may_state_is_a_fault() {
    let ran = plan(&[deployment("api", &json!({"args": ["gunicorn", "-w", "5000"]}), &json!({}))], &[]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("`gunicorn -w 5000` says more than 1000 processes"), "{}", ran.err);
}

/// A row of `charts.yaml`.
struct Row {
    name: String,
    expected: String,
    read: String,
}

fn rows() -> Vec<Row> {
    let rows: Vec<Value> = serde_yaml::from_str(include_str!("charts.yaml")).expect("rows");
    let workloads: Vec<Value> = rows.iter().enumerate().map(|(i, row)| chart(i, row)).collect();
    let ran = plan(&workloads, &["-o", "json"]);
    let answer: Value = serde_json::from_str(&ran.out).expect("JSON");
    let found = answer["budgets"][0]["workloads"].as_array().expect("workloads");
    let read = |i: usize| {
        let one = found.iter().find(|one| one["name"] == format!("w{i}")).expect("each is there");
        let unknown = one["processesFrom"].as_str().is_some_and(|from| from.starts_with("unknown"));
        // Unknown, and counted as one, is right where one is what runs.
        let quiet = rows[i]["expected"] == 1 && one["processes"] == 1;
        if unknown && !quiet { "unknown".to_owned() } else { one["processes"].to_string() }
    };
    let row = |(i, row): (usize, &Value)| Row {
        name: format!(
            "{}, {}",
            row["chart"].as_str().unwrap_or_default(),
            row["workload"].as_str().unwrap_or_default()
        ),
        expected: row["expected"].to_string().replace('"', ""),
        read: read(i),
    };
    rows.iter().enumerate().map(row).collect()
}

fn chart(index: usize, row: &Value) -> Value {
    let env: Vec<Value> = row["env"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    let mut container = json!({"env": env});
    for field in ["command", "args"] {
        if row[field].is_array() {
            container[field] = row[field].clone();
        }
    }
    if row["envFrom"] == true {
        container["envFrom"] = json!([{"secretRef": {"name": "app"}}]);
    }
    let profile = row["profile"].as_str().unwrap_or("SQLAlchemy");
    deployment(&format!("w{index}"), &container, &json!({"poolbudget.dev/profile": profile}))
}

#[test]
fn of_the_pods_of_public_charts_95_in_100_are_counted_right() {
    let rows = rows();
    let charts: std::collections::BTreeSet<&str> =
        rows.iter().filter_map(|row| row.name.split(',').next()).collect();
    assert!(charts.len() >= 12, "{charts:?}");
    let wrong: Vec<String> = rows
        .iter()
        .filter(|row| row.expected != row.read)
        .map(|row| format!("{}: {}, read {}", row.name, row.expected, row.read))
        .collect();
    let right = rows.len() - wrong.len();
    assert!(right * 100 >= RIGHT * rows.len(), "{right} of {}: {wrong:#?}", rows.len());
}

#[test]
fn the_page_says_of_each_chart_what_is_read() {
    let page = include_str!("../../docs/workers.md");
    for row in rows() {
        let line = format!("| {} | {} | {} |", row.name, row.expected, row.read);
        assert!(page.contains(&line), "{line}");
    }
}
