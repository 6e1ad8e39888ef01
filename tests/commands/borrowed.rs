//! Argo Rollouts whose pod template is that of another object (`workloadRef`): what is counted, and where it is written.

use serde_json::Value;

use crate::ran::{Ran, poolbudget};

const LABEL: &str = "poolbudget.dev/budget: main";

/// A Deployment that lends its template, with labels on itself and in its template.
fn deployment(own: &str, template: &str, replicas: u32) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, labels: {{{own}}}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web, {template}}}}}
    spec: {{containers: [{{name: app, image: app}}]}}
"
    )
}

fn rollout(own: &str, strategy: &str) -> String {
    format!(
        "apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {{name: api, labels: {{{own}}}}}
spec:
  replicas: 6
  workloadRef: {{apiVersion: apps/v1, kind: Deployment, name: web, scaleDown: onsuccess}}
  strategy: {strategy}
"
    )
}

fn autoscaler(api_version: &str, target: &str) -> String {
    let (kind, name) = target.split_once('/').expect("kind and name");
    format!(
        "apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: api}}
spec: {{maxReplicas: 20, scaleTargetRef: {{apiVersion: {api_version}, kind: {kind}, name: {name}}}}}
"
    )
}

const BUDGET: &str = "apiVersion: poolbudget.dev/v1beta1
kind: DbConnectionBudget
metadata: {name: main}
spec: {limit: {connections: 1000}, reserved: 0}
";

const BLUE_GREEN: &str = "{blueGreen: {activeService: api}}";

fn stream(documents: &[String]) -> String {
    documents.join("---\n")
}

fn plan(documents: &[String]) -> Ran {
    poolbudget(&["plan", "-f", "-"], &stream(&[documents, &[BUDGET.to_owned()]].concat()))
}

fn inject(documents: &[String], arguments: &[&str]) -> Ran {
    poolbudget(&[&["inject", "-f", "-"], arguments].concat(), &stream(documents))
}

/// The slots of a workload; none where it has no line.
fn slots(ran: &Ran, workload: &str) -> Option<String> {
    let line = ran.out.lines().find(|line| line.starts_with(&format!("{workload} ")))?;
    let rest = line.split_once("  ")?.1.trim_start().replace(" (max ", "(max");
    rest.split_whitespace().nth(1).map(ToOwned::to_owned)
}

#[test]
fn a_rollout_takes_the_template_of_another_object_and_its_own_replicas_wherever_the_label_stands() {
    let places = [(LABEL, "", ""), ("", LABEL, ""), ("", "", LABEL), (LABEL, "", LABEL)];
    for (own, lender, template) in places {
        for (strategy, expected) in [(BLUE_GREEN, "40"), ("{canary: {maxSurge: 3, maxUnavailable: 0}}", "21")]
        {
            let scaler = autoscaler("argoproj.io/v1alpha1", "Rollout/api");
            let ran = plan(&[rollout(own, strategy), deployment(lender, template, 0), scaler]);
            assert_eq!(ran.code, 0, "{own}/{lender}/{template}: {}{}", ran.out, ran.err);
            let found = slots(&ran, "Rollout/api");
            assert_eq!(found.as_deref(), Some(expected), "{own}/{lender}/{template}: {}", ran.out);
        }
    }
}

#[test]
fn a_label_that_does_nothing_in_a_cluster_is_told() {
    let told = |own, lender| plan(&[rollout(own, BLUE_GREEN), deployment(lender, "", 0)]).err;
    let sentence = "warning: Rollout default/api: its pods are created from the template of Deployment/web, so set the label \
                    poolbudget.dev/budget and poolbudget's annotations there\n";
    assert_eq!(told(LABEL, ""), sentence);
    assert_eq!(told("", LABEL), "");
    assert_eq!(told(LABEL, LABEL), "");
}

#[test]
fn what_the_lender_keeps_of_its_own_pods_counts_as_well() {
    let ran = plan(&[deployment("", LABEL, 3), rollout(LABEL, BLUE_GREEN)]);
    assert_eq!(slots(&ran, "Rollout/api").as_deref(), Some("12"));
    assert_eq!(slots(&ran, "Deployment/web").as_deref(), Some("4"), "{}", ran.out);
    let scaled = plan(&[
        deployment("", LABEL, 3),
        rollout(LABEL, BLUE_GREEN),
        autoscaler("apps/v1", "Deployment/web"),
    ]);
    assert_eq!(slots(&scaled, "Deployment/web").as_deref(), Some("20"), "{}", scaled.out);
    assert!(
        scaled.err.contains("HorizontalPodAutoscaler default/api scales Deployment/web, but Rollout/api creates the pods from the template of Deployment/web: set its scaleTargetRef to Rollout/api"),
        "{}",
        scaled.err
    );
}

#[test]
fn other_objects_that_lend_a_template_do_it_too() {
    for (kind, version) in [("ReplicaSet", "apps/v1"), ("PodTemplate", "v1")] {
        let mut lender = deployment("", LABEL, 0).replace("kind: Deployment", &format!("kind: {kind}"));
        if kind == "PodTemplate" {
            lender = format!(
                "apiVersion: v1\nkind: PodTemplate\nmetadata: {{name: web}}\ntemplate:\n  metadata: {{labels: {{app: web, {LABEL}}}}}\n  \
                 spec: {{containers: [{{name: app, image: app}}]}}\n"
            );
        }
        let rollout = rollout("", BLUE_GREEN).replace(
            "apiVersion: apps/v1, kind: Deployment",
            &format!("apiVersion: {version}, kind: {kind}"),
        );
        let ran = plan(&[lender.clone(), rollout.clone()]);
        assert_eq!((ran.code, slots(&ran, "Rollout/api").as_deref()), (0, Some("12")), "{kind}: {}", ran.err);
        let ran = inject(&[lender, rollout], &[]);
        assert_eq!((ran.code, ran.out.matches("schedulingGates").count()), (0, 1), "{kind}: {}", ran.err);
    }
}

#[test]
fn a_template_that_is_not_in_the_input_is_told() {
    let ran = plan(&[rollout(LABEL, BLUE_GREEN)]);
    let sentence = "Rollout default/api takes its pod template from Deployment/web, which is not in the input: pass its file too, with another -f";
    assert_eq!((ran.code, ran.err.contains(sentence)), (2, true), "{}", ran.err);
    let ran = inject(&[rollout(LABEL, BLUE_GREEN)], &[]);
    assert_eq!(ran.code, 0);
    assert!(ran.err.contains("note: Rollout/api takes its pod template from Deployment/web, which is not in the input: inject its file too"), "{}", ran.err);
    let daemon = rollout(LABEL, BLUE_GREEN).replace("kind: Deployment", "kind: DaemonSet");
    let ran = plan(&[daemon]);
    assert!(
        ran.err
            .contains("DaemonSet/web, but only a Deployment, a ReplicaSet or a PodTemplate can provide one"),
        "{}",
        ran.err
    );
}

/// What is left out of a Rollout's own manifest goes into the object that lends its template.
#[test]
fn the_template_is_injected_where_it_stands_and_all_else_comes_through() {
    let service = "apiVersion: v1\nkind: Service # kept\nmetadata: {name: api}\n".to_owned();
    for (own, lender) in [(LABEL, ""), ("", LABEL), (LABEL, LABEL)] {
        for first in [true, false] {
            let mut both = vec![rollout(own, BLUE_GREEN), deployment(lender, "", 0)];
            if !first {
                both.reverse();
            }
            both.push(service.clone());
            let ran = inject(&both, &[]);
            assert_eq!(ran.code, 0, "{}", ran.err);
            assert!(
                ran.out.contains(&rollout(own, BLUE_GREEN)) && ran.out.ends_with(&service),
                "{}",
                ran.out
            );
            let documents: Vec<Value> = serde_yaml::from_multiple(&ran.out).expect("documents");
            let lender = documents.iter().find(|object| object["kind"] == "Deployment").expect("the lender");
            let template = &lender["spec"]["template"];
            assert_eq!(template["metadata"]["labels"]["poolbudget.dev/budget"], "main");
            assert_eq!(template["spec"]["schedulingGates"][0]["name"], "poolbudget.dev/connections");
            assert_eq!(template["spec"]["containers"][0]["env"][0]["name"], "DB_POOL_SIZE");
            let again = poolbudget(&["inject", "-f", "-"], &ran.out);
            assert_eq!(again.out, ran.out);
            let told = "note: Rollout/api: its pods are created from the template of Deployment/web, so label, gate and env are written there";
            assert_eq!(ran.err.matches(told).count(), 1, "{}", ran.err);
        }
    }
}

#[test]
fn a_budget_that_is_named_goes_into_the_lender() {
    let ran = inject(&[rollout("", BLUE_GREEN), deployment("", "", 0)], &["--budget", "other"]);
    assert_eq!((ran.code, ran.out.matches("poolbudget.dev/budget: other").count()), (0, 1), "{}", ran.out);
    let ran = inject(&[rollout(LABEL, BLUE_GREEN), deployment("", "", 0)], &["--budget", "other"]);
    assert_eq!(ran.out.matches("poolbudget.dev/budget: main").count(), 2, "{}", ran.out);
}
