//! `poolbudget inject`: what is written, what stays, and what is refused.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::ran::{inject, plan, poolbudget};

/// A Deployment as people write it.
const BLOCK: &str = "\
# The API.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: api
  labels:
    poolbudget.dev/budget: main   # what shares the database
spec:
  replicas: 2
  selector: {matchLabels: {app: api}}
  template:
    metadata:
      labels:
        app: api

    spec:
      containers:
        # Before the app: it is not first by chance.
        - name: api
          image: \"api:1\"
          env:
            # Where the database is.
            - name: DATABASE_URL
              valueFrom: {secretKeyRef: {name: db, key: url}}
            - name: DB_POOL_SIZE   # too many
              value: \"5\"
          x-unknown: [kept, as, it, is]
        - name: sidecar
          image: sidecar:1
---
apiVersion: v1
kind: Service # of another kind
metadata:   {name:   api}
";

/// What comes out of what is right.
fn injected(input: &str) -> String {
    let ran = inject(input, &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran.out
}

fn values(text: &str) -> Vec<Value> {
    serde_yaml::from_multiple(text).expect("documents")
}

#[test]
fn a_template_gets_label_gate_and_env_and_all_else_stays() {
    assert_snapshot!(injected(BLOCK));
}

#[test]
fn what_gives_way_is_told() {
    assert_eq!(
        inject(BLOCK, &[]).err,
        "note: Deployment/api: the granted sizes replace the values {\"DB_POOL_SIZE\":\"5\"}, which are kept in the \
         annotation poolbudget.dev/replaced-env\n\
         note: Deployment/api: spec.template.spec.containers[0].x-unknown: there is no such field; kubectl apply refuses \
         fields that its API server does not know\n"
    );
}

/// The notes on a Deployment with these annotations, a pod template with this metadata, and this env.
fn notes(own: &str, template: &str, env: &str) -> Vec<String> {
    let manifest = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: x, labels: {{poolbudget.dev/budget: main}}, annotations: {{{own}}}}}\n\
         spec:\n  selector: {{matchLabels: {{app: x}}}}\n  template:\n    metadata: {{{template}}}\n    \
         spec: {{containers: [{{name: x, image: x, env: [{env}]}}]}}\n"
    );
    let ran = inject(&manifest, &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran.err.lines().filter_map(|line| Some(line.strip_prefix("note: Deployment/x: ")?.to_owned())).collect()
}

#[test]
fn nothing_goes_or_becomes_another_one_without_a_word() {
    let from =
        |name: &str, source: &str| notes("", "", &format!("{{name: {name}, valueFrom: {{{source}}}}}"));
    let read = "now reads the granted size; its old value,";
    assert_eq!(
        from("DB_POOL_SIZE", "configMapKeyRef: {name: c, key: k}"),
        [format!("DB_POOL_SIZE in container x {read} from configMapKeyRef (c, k), is not kept")]
    );
    assert_eq!(
        from("DB_MAX_OVERFLOW", "secretKeyRef: {name: s, key: k}"),
        [format!("DB_MAX_OVERFLOW in container x {read} from secretKeyRef (s, k), is not kept")]
    );
    let lines = notes("", "", "{name: DB_POOL_SIZE, value: '4'}, {name: DB_MAX_OVERFLOW, value: \"1\\n2\"}");
    assert!(lines[0].contains("the values {\"DB_POOL_SIZE\":\"4\"}, which are kept"), "{lines:?}");
    assert_eq!(lines[1..], [format!("DB_MAX_OVERFLOW in container x {read} \"1\u{fffd}2\", is not kept")]);
    let twice = notes("", "", "{name: DB_POOL_SIZE, value: '4'}, {name: DB_POOL_SIZE, value: '5'}");
    assert_eq!((twice.len(), twice[0].contains("{\"DB_POOL_SIZE\":\"5\"}")), (1, true), "{twice:?}");
    assert_eq!(
        notes("", "annotations: {poolbudget.dev/pool-size: '9', poolbudget.dev/connections: '1', a: b}", ""),
        [
            "the annotation poolbudget.dev/connections is removed from its pod template, because only the operator may write it; it was \"1\"",
            "the annotation poolbudget.dev/pool-size is removed from its pod template, because only the operator may write it; it was \"9\"",
        ]
    );
    assert_eq!(
        notes("", "labels: {poolbudget.dev/budget: other, a: b}", ""),
        [
            "the label poolbudget.dev/budget of its pod template changes from \"other\" to \"main\": the value higher up in the manifest takes precedence"
        ]
    );
    assert_eq!(
        notes("poolbudget.dev/processes: '3'", "annotations: {poolbudget.dev/processes: '5'}", ""),
        [
            "the annotation poolbudget.dev/processes of its pod template changes from \"5\" to \"3\": the value higher up in the manifest takes precedence"
        ]
    );
    assert_eq!(notes("poolbudget.dev/processes: '3'", "", "{name: A, value: b}"), Vec::<String>::new());
}

#[test]
fn a_workload_that_has_the_label_and_is_left_alone_is_told_and_no_label_is_missed() {
    let owned = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {poolbudget.dev/budget: main}, ownerReferences: [{kind: ReplicaSet, name: d}]}\n\
                 spec: {containers: [{name: a}]}\n";
    assert_eq!(
        inject(owned, &[]).err,
        "note: Pod/p was created by ReplicaSet/d and is left alone: inject the manifest of ReplicaSet/d instead\n"
    );
    let rollout = "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: r, labels: {poolbudget.dev/budget: main}}\n\
                   spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: d}}\n";
    assert!(!inject(rollout, &[]).err.contains("no workload has the label"));
}

/// One Deployment in all manners.
fn manners() -> Vec<(&'static str, String)> {
    let spaced =
        BLOCK.replace("            - ", "          - ").replace("              value", "            value");
    let json = serde_json::to_string_pretty(&values(BLOCK)[0]).expect("JSON");
    vec![
        ("block", BLOCK.to_owned()),
        ("line ends of Windows", BLOCK.replace('\n', "\r\n")),
        ("lists not indented", spaced),
        ("no last line end", BLOCK.split("---").next().expect("a document").trim_end().to_owned()),
        ("JSON on many lines", json.clone()),
        ("JSON with tabs", json.replace("  ", "\t")),
        ("JSON on one line", values(BLOCK)[0].to_string()),
        ("brackets", format!("---\n{}\n# end\n", values(BLOCK)[0].to_string().replace("\"apps/v1\"", "apps/v1"))),
        ("no labels, no env", BLOCK.replace("      labels:\n        app: api\n", "      labels:\n").replace("          env:\n            # Where the database is.\n            - name: DATABASE_URL\n              valueFrom: {secretKeyRef: {name: db, key: url}}\n            - name: DB_POOL_SIZE   # too many\n              value: \"5\"\n", "")),
        ("empty brackets", BLOCK.replace("      labels:\n        app: api\n", "      labels: {}\n      annotations: {}\n")),
        ("anchors", BLOCK.replace("        app: api\n", "        app: &app api\n").replace("name: sidecar\n", "name: *app\n")),
        ("a list", format!("apiVersion: v1\nkind: List\nitems:\n- {}", BLOCK.split("---").next().expect("a document").trim_start_matches("# The API.\n").replace('\n', "\n  ").trim_end())),
    ]
}

/// The pod template, wherever it stands.
fn template(document: &Value) -> &Value {
    document.pointer("/items/0").unwrap_or(document).pointer("/spec/template").expect("a template")
}

#[test]
fn every_manner_of_writing_comes_to_the_same_template() {
    for (manner, input) in manners() {
        let text = injected(&input);
        let documents = values(&text);
        let template = template(&documents[0]);
        assert_eq!(
            template.pointer("/metadata/labels/poolbudget.dev~1budget"),
            Some(&"main".into()),
            "{manner}"
        );
        assert_eq!(
            template.pointer("/spec/schedulingGates/0/name"),
            Some(&"poolbudget.dev/connections".into()),
            "{manner}"
        );
        let env = template.pointer("/spec/containers/0/env").and_then(Value::as_array).expect("env");
        let read = |entry: &Value| {
            let path =
                entry.pointer("/valueFrom/fieldRef/fieldPath").and_then(Value::as_str).unwrap_or_default();
            (entry["name"].as_str().expect("a name").to_owned(), path.to_owned())
        };
        let expected = [
            ("DB_POOL_SIZE", "metadata.annotations['poolbudget.dev/pool-size']"),
            ("DB_MAX_OVERFLOW", "metadata.annotations['poolbudget.dev/max-overflow']"),
            ("PGAPPNAME", "metadata.name"),
        ];
        assert_eq!(
            env.iter().take(3).map(read).collect::<Vec<_>>(),
            expected.map(|(a, b)| (a.into(), b.into())),
            "{manner}"
        );
        assert!(template.pointer("/spec/containers/1/env").is_none(), "{manner}");
        // What is written anew has no comments; the Service is not.
        let rest = |text: &str| text.split_once("kind: Service").map(|(_, rest)| rest.to_owned());
        assert_eq!(rest(&text), rest(&input), "{manner}");
        assert!(!text.contains("# The API."), "{manner}: {text}");
    }
}

/// What each patch of a component makes of the object that it is for.
fn patched(component: &str, documents: &[Value]) -> Vec<Value> {
    let component: Value = serde_yaml::from_str(component).expect("a component");
    assert_eq!(component["kind"], "Component");
    let mut objects: Vec<Value> = documents
        .iter()
        .flat_map(|document| document["items"].as_array().cloned().unwrap_or_else(|| vec![document.clone()]))
        .collect();
    for patch in component["patches"].as_array().expect("patches") {
        let operations = patch["patch"].as_str().expect("a text");
        let operations: json_patch::Patch = serde_yaml::from_str(operations).expect("a JSON patch");
        let target = &patch["target"];
        let meant = |object: &&mut Value| {
            object["kind"] == target["kind"] && object["metadata"]["name"] == target["name"]
        };
        let object = objects.iter_mut().find(meant).expect("the target");
        json_patch::patch(object, &operations).expect("it can be patched");
    }
    objects
}

#[test]
fn a_patch_makes_the_same_of_the_manifests_and_leaves_them_as_they_are() {
    for (manner, input) in manners() {
        let ran = inject(&input, &["--patch"]);
        assert_eq!(ran.code, 0, "{manner}: {}", ran.err);
        let expected: Vec<Value> = patched("kind: Component\npatches: []\n", &values(&injected(&input)));
        assert_eq!(patched(&ran.out, &values(&input)), expected, "{manner}");
        let again = inject(&injected(&input), &["--patch"]);
        assert!(again.out.contains("patches: []"), "{manner}: {}", again.out);
    }
    let ran = inject(BLOCK, &["--patch"]);
    assert_snapshot!(ran.out);
    // Twenty variables of which two are ours stay twenty entries of their own.
    let many: String = (0..20).map(|n| format!("            - {{name: V{n}, value: a}}\n")).collect();
    let input = BLOCK.replace("          env:\n", &format!("          env:\n{many}"));
    let out = inject(&input, &["--patch"]).out;
    assert!(!out.contains("V7"), "{out}");
}

#[test]
fn a_patch_fails_where_the_object_became_another_one_and_is_refused_without_a_name() {
    let out = inject(BLOCK, &["--patch"]).out;
    let component: Value = serde_yaml::from_str(&out).expect("a component");
    let operations = component["patches"][0]["patch"].as_str().expect("a text");
    let operations: json_patch::Patch = serde_yaml::from_str(operations).expect("a JSON patch");
    for (old, new) in [("- name: api", "- name: first"), ("- name: DB_POOL_SIZE", "- name: OTHER")] {
        let mut other = values(&BLOCK.replace(old, new)).remove(0);
        assert!(json_patch::patch(&mut other, &operations).is_err(), "{new}");
    }
    let nameless = BLOCK.replace("  name: api\n  labels", "  generateName: api-\n  labels");
    let ran = inject(&nameless, &["--patch"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(
        ran.err.contains("has no name, but kustomize needs one to find the target of a patch"),
        "{}",
        ran.err
    );
}

#[test]
fn twice_is_once() {
    for (manner, input) in manners() {
        let once = injected(&input);
        assert_eq!(injected(&once), once, "{manner}");
    }
}

#[test]
fn the_name_of_the_connections_is_written_once_and_not_over_one_that_is_there() {
    let names = |text: &str| -> Vec<Value> {
        let env = template(&values(text)[0]).pointer("/spec/containers/0/env").cloned().expect("env");
        let entries = env.as_array().expect("a list").iter();
        entries.filter(|entry| entry["name"] == "PGAPPNAME").cloned().collect()
    };
    let ours = json!({"name": "PGAPPNAME",
        "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}});
    assert_eq!(names(&injected(&injected(BLOCK))), [ours]);
    let first = "          env:\n";
    let own = BLOCK.replacen(first, &format!("{first}            - {{name: PGAPPNAME, value: shop}}\n"), 1);
    assert_ne!(own, BLOCK);
    let ran = inject(&own, &[]);
    assert_eq!(names(&ran.out), [json!({"name": "PGAPPNAME", "value": "shop"})]);
    assert!(!ran.err.contains("PGAPPNAME"), "{}", ran.err);
    let whole = "          envFrom: [{secretRef: {name: db}}]\n";
    let taken_in = BLOCK.replacen(first, &format!("{whole}{first}"), 1);
    assert_eq!(names(&injected(&taken_in)), Vec::<Value>::new());
}

#[test]
fn what_bears_no_label_is_labelled_when_a_budget_is_named_and_else_left_alone() {
    let unlabelled =
        BLOCK.replace("    poolbudget.dev/budget: main   # what shares the database\n", "    a: b\n");
    let ran = inject(&unlabelled, &[]);
    assert_eq!((ran.code, ran.out.as_str()), (0, unlabelled.as_str()));
    assert_eq!(
        ran.err,
        "note: no workload has the label poolbudget.dev/budget: to add it, pass --budget NAME\n"
    );
    let ran = inject(&unlabelled, &["--budget", "other"]);
    let label = "/spec/template/metadata/labels/poolbudget.dev~1budget";
    assert_eq!(values(&ran.out)[0].pointer(label), Some(&"other".into()));
    let ran = inject(BLOCK, &["--budget", "other"]);
    assert_eq!(values(&ran.out)[0].pointer(label), Some(&"main".into()));
}

#[test]
fn a_plan_of_what_was_injected_is_the_plan_of_what_was_not() {
    let budget = "---\napiVersion: poolbudget.dev/v1beta1\nkind: DbConnectionBudget\nmetadata: {name: main}\nspec: \
                  {limit: {connections: 15}}\n";
    let plan = |manifests: &str| {
        let ran = plan(&format!("{manifests}{budget}"), &[]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran.out.lines().filter(|line| !line.starts_with("without")).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(plan(&injected(BLOCK)), plan(BLOCK));
}

#[test]
fn of_what_is_wrong_nothing_is_written() {
    let refused = |input: &str| {
        let ran = inject(input, &[]);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""));
        ran.err
    };
    let on_node = BLOCK.replace("      containers:\n", "      nodeName: n1\n      containers:\n");
    assert!(refused(&on_node).starts_with(
        "error: stdin, document 1 (line 1): Deployment/api: a pod of a budget must not set spec.nodeName"
    ));
    let complaint = refused(&format!("{BLOCK}---\na: [\n"));
    let place = format!("error: stdin, document 3 (line {}): ", BLOCK.lines().count() + 1);
    assert!(complaint.starts_with(&place), "{complaint}");
}

#[test]
fn a_proxy_that_stands_before_the_app_is_passed_over_as_admission_does_it() {
    let meshed = BLOCK
        .replace("      containers:\n", "      containers:\n        - {name: istio-proxy, image: proxy}\n");
    let text = injected(&meshed);
    let proxy = text.find("istio-proxy").expect("the proxy");
    let app = proxy + text[proxy..].find("- name: ").expect("the app");
    assert!(!text[..app].contains("valueFrom") && text[app..].contains("poolbudget.dev/pool-size"), "{text}");
}

#[test]
fn what_admission_would_refuse_is_refused_with_its_sentence() {
    let noted = BLOCK.replace(
        "  labels:\n    pool",
        "  annotations: {poolbudget.dev/processes: four}\n  labels:\n    pool",
    );
    let ran = inject(&noted, &[]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    let begins = "error: stdin, document 1 (line 1): Deployment/api: ";
    assert!(ran.err.starts_with(begins) && ran.err.contains("poolbudget.dev/processes"), "{}", ran.err);
}

#[test]
fn pods_and_what_runs_at_times_are_injected_too_and_what_another_object_made_is_not() {
    let pod = |more: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: p, labels: {{poolbudget.dev/budget: main}}{more}}}\nspec: {{containers: [{{name: a}}]}}\n"
        )
    };
    let gate = |text: &str, spec: &str| {
        values(text)[0].pointer(spec).and_then(|spec| spec.get("schedulingGates")).is_some()
    };
    assert!(gate(&injected(&pod("")), "/spec"));
    let owned = pod(", ownerReferences: [{kind: ReplicaSet, name: r}]");
    assert_eq!(injected(&owned), owned);
    let run = "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: c, labels: {poolbudget.dev/budget: main}}\nspec:\n  jobTemplate:\n    spec:\n      template:\n        spec:\n          containers:\n          - name: a\n";
    assert!(gate(&injected(run), "/spec/jobTemplate/spec/template/spec"));
}

#[test]
fn the_annotations_of_the_workload_say_which_container_reads_which_variables() {
    let noted = BLOCK.replace(
        "  labels:\n    pool",
        "  annotations:\n    poolbudget.dev/container: sidecar\n    poolbudget.dev/pool-size-env: SIZE\n    \
         poolbudget.dev/max-overflow-env: MORE\n  labels:\n    pool",
    );
    let text = injected(&noted);
    let documents = values(&text);
    let env =
        template(&documents[0]).pointer("/spec/containers/1/env").and_then(Value::as_array).expect("env");
    assert_eq!(
        env.iter().map(|entry| entry["name"].as_str()).collect::<Vec<_>>(),
        [Some("SIZE"), Some("MORE"), Some("PGAPPNAME")]
    );
    assert_eq!(injected(&text), text);
}

#[test]
fn files_are_joined_as_documents() {
    let folder = tempfile::tempdir().expect("a folder");
    for (file, text) in [("a.yaml", "a: 1"), ("b.yaml", "b: 2\n"), ("c.yaml", "---\nc: 3\n")] {
        std::fs::write(folder.path().join(file), text).expect("a file");
    }
    let ran = poolbudget(&["inject", "-f", &folder.path().display().to_string()], "");
    assert_eq!(ran.out, "a: 1\n---\nb: 2\n---\nc: 3\n");
}
