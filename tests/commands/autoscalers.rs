//! `poolbudget plan` with autoscalers: the fewest replicas that run are those that one asks for.

use crate::ran::plan;

/// 18 usable connections; four processes with two connections each, so 8 for each pod.
fn input(basis: &str, replicas: &str, scaler: &str) -> String {
    format!(
        "apiVersion: poolbudget.dev/v1beta1
kind: DbConnectionBudget
metadata: {{name: main}}
spec:
  limit: {{connections: 20}}
  reserved: 2
  sizing: {{basis: {basis}}}
  workloads: [{{name: server, connectionsPerProcess: {{min: 2}}}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: server, labels: {{poolbudget.dev/budget: main}}}}
spec:
  {replicas}
  selector: {{matchLabels: {{app: api}}}}
  template:
    metadata: {{annotations: {{poolbudget.dev/processes: '4'}}}}
    spec: {{containers: [{{name: app}}]}}
---
{scaler}"
    )
}

fn autoscaler(bounds: &str) -> String {
    format!(
        "apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: server}}
spec: {{scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: server}}, {bounds}}}
"
    )
}

#[test]
fn what_an_autoscaler_asks_for_at_least_is_the_least_that_runs_whatever_the_basis() {
    let scaler = autoscaler("minReplicas: 3, maxReplicas: 6");
    for replicas in ["", "replicas: 1", "replicas: 2", "replicas: 3"] {
        for basis in ["Ceiling", "Ladder", "Current"] {
            let ran = plan(&input(basis, replicas, &scaler), &[]);
            assert_eq!((ran.code, ran.err.as_str()), (1, ""), "{basis} {replicas}");
            assert!(!ran.out.contains("and fit:") && !ran.out.contains("current replicas"), "{}", ran.out);
            assert!(!ran.out.contains("cap ") && !ran.out.contains("lower maxReplicas"), "{}", ran.out);
        }
        let ran = plan(&input("Current", replicas, &scaler), &[]);
        let told = "(3 pods + 1 surge) × 4 processes × 2 = 32 connections, 18 usable";
        assert!(ran.out.contains(told), "{}", ran.out);
        assert!(ran.out.contains("raise the limit to at least 34 connections"), "{}", ran.out);
    }
}

#[test]
fn each_advice_is_enough_when_it_is_followed_beside_an_autoscaler() {
    let scaler = autoscaler("minReplicas: 3, maxReplicas: 6");
    let text = input("Current", "", &scaler);
    let ran = plan(&text, &[]);
    let advice: Vec<&str> = ran.out.lines().filter_map(|line| line.strip_prefix("  - ")).collect();
    assert_eq!(
        advice,
        [
            "run Deployment/server with 2 processes in each pod instead of 4",
            "lower connectionsPerProcess.min of Deployment/server from 2 to 1",
            "raise the limit to at least 34 connections",
        ]
    );
    assert_eq!(plan(&text, &["--processes", "server=2"]).code, 0);
    assert_eq!(plan(&text.replace("min: 2", "min: 1"), &[]).code, 0);
    assert_eq!([plan(&text, &["--limit", "34"]).code, plan(&text, &["--limit", "33"]).code], [0, 1]);
}

#[test]
fn fewer_replicas_are_advised_down_to_what_the_autoscaler_asks_for() {
    let capped = |bounds: &str| {
        let ran = plan(&input("Ceiling", "replicas: 1", &autoscaler(bounds)), &["--processes", "server=1"]);
        assert_eq!(ran.code, 1, "{}", ran.out);
        ran.out.contains("cap Deployment/server at 9 replicas")
    };
    // 18 usable, two for each pod.
    let bounds = ["maxReplicas: 12", "minReplicas: 9, maxReplicas: 12", "minReplicas: 10, maxReplicas: 12"];
    assert_eq!(bounds.map(capped), [true, true, false]);
}

#[test]
fn an_autoscaler_leaves_alone_what_is_scaled_to_zero() {
    let ran = plan(&input("Current", "replicas: 0", &autoscaler("minReplicas: 3, maxReplicas: 6")), &[]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
}

#[test]
fn without_a_minimum_an_autoscaler_asks_for_one() {
    for bounds in ["maxReplicas: 1", "minReplicas: null, maxReplicas: 1", "minReplicas: 0, maxReplicas: 1"] {
        let ran = plan(&input("Ceiling", "", &autoscaler(bounds)), &[]);
        assert_eq!(ran.code, 0, "{bounds}: {}", ran.out);
    }
}

#[test]
fn of_several_autoscalers_the_largest_minimum_counts_and_one_of_keda_has_one_too() {
    let keda = |least: &str| {
        format!(
            "apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {{name: server}}
spec: {{scaleTargetRef: {{name: server}}, {least} maxReplicaCount: 6}}
"
        )
    };
    let slots = |scaler: &str| {
        let ran = plan(&input("Current", "replicas: 1", scaler), &[]);
        let row = ran.out.lines().find(|line| line.starts_with("Deployment/server")).expect("a row");
        row.split_whitespace().nth(1).expect("replicas").to_owned()
    };
    assert_eq!(slots(&keda("minReplicaCount: 3,")), "3");
    assert_eq!(slots(&keda("")), "1");
    assert_eq!(slots(&keda("minReplicaCount: 0,")), "1");
    let two = format!(
        "{}---\n{}",
        autoscaler("minReplicas: 2, maxReplicas: 6"),
        autoscaler("minReplicas: 4, maxReplicas: 4").replace("{name: server}\nspec", "{name: other}\nspec")
    );
    assert_eq!(slots(&two), "4");
}
