//! What `kubectl apply` would not get into a cluster: fields, versions and numbers that `plan` and `inject` refuse too, and what
//! `plan` says of the rest.

use crate::ran::{BUDGET, both, plan, poolbudget};

const DEPLOYMENT: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: api, labels: {poolbudget.dev/budget: main}}
spec:
  replicas: 2
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec:
      containers:
      - name: app
        image: app
";

/// That both refuse `DEPLOYMENT` with `old` written as `new`, in this sentence.
fn refused(old: &str, new: &str, sentence: &str) {
    assert!(DEPLOYMENT.contains(old), "{old}");
    for ran in both(&DEPLOYMENT.replacen(old, new, 1)) {
        let told = format!("error: stdin, document 2 (line 5): Deployment/api: {sentence}\n");
        assert_eq!((ran.code, ran.err.as_str()), (2, told.as_str()), "{new}");
        assert!(!ran.out.contains("fits:"), "{}", ran.out);
    }
}

#[test]
fn a_field_that_is_a_slip_of_the_pen_is_refused_with_the_one_that_was_meant() {
    for (old, new, sentence) in [
        ("replicas: 2", "replica: 20", "spec.replica: there is no such field, did you mean replicas?"),
        ("replicas: 2", "Replicas: 20", "spec.Replicas: there is no such field, did you mean replicas?"),
        ("selector:", "selectors:", "spec.selectors: there is no such field, did you mean selector?"),
        (
            "labels: {poolbudget",
            "label: {poolbudget",
            "metadata.label: there is no such field, did you mean labels?",
        ),
        (
            "{labels: {app: api}}",
            "{labels: {app: api}, annotation: {poolbudget.dev/processes: \"9\"}}",
            "spec.template.metadata.annotation: there is no such field, did you mean annotations?",
        ),
        (
            "image: app",
            "envs: []",
            "spec.template.spec.containers[0].envs: there is no such field, did you mean env?",
        ),
        (
            "image: app",
            "env: [{name: A, valuefrom: {}}]",
            "spec.template.spec.containers[0].env[0].valuefrom: there is no such field, did you mean valueFrom?",
        ),
    ] {
        refused(old, new, sentence);
    }
    let many: String = (0..12).map(|place| format!(", {{name: a{place}, valeu: x}}")).collect();
    let [plan, _] = both(&DEPLOYMENT.replace("image: app", &format!("env: [{{name: b}}{many}]")));
    assert_eq!(
        (plan.err.matches("did you mean value?").count(), plan.err.contains("; and 2 more\n")),
        (10, true)
    );
}

#[test]
fn a_field_that_a_newer_kubernetes_may_know_is_warned_of() {
    for (old, new, field) in [
        ("replicas: 2", "replicas: 2\n  nothingLikeIt: {a: [1, null]}", "spec.nothingLikeIt"),
        ("image: app", "unknown: {}", "spec.template.spec.containers[0].unknown"),
        (
            "      containers:",
            "      schedulingGrouping: {}\n      containers:",
            "spec.template.spec.schedulingGrouping",
        ),
    ] {
        let [plan, inject] = both(&DEPLOYMENT.replacen(old, new, 1));
        let told = format!("Deployment/api: {field}: there is no such field");
        assert_eq!(
            (plan.code, plan.err.contains(&format!("warning: stdin, document 2 (line 5): {told}"))),
            (0, true),
            "{}",
            plan.err
        );
        assert_eq!((inject.code, inject.err.contains(&format!("note: {told}"))), (0, true), "{}", inject.err);
    }
    // What the cluster has written, and what is nothing, is nobody's slip.
    let [plan, _] = both(&format!("{DEPLOYMENT}status: {{replica: 1}}\n").replacen(
        "replicas: 2",
        "replicas: 2\n  replica:",
        1,
    ));
    assert_eq!((plan.code, plan.err.as_str()), (0, ""));
}

#[test]
fn what_nothing_could_be_counted_without_has_to_be_there() {
    for (old, new, sentence) in [
        ("  selector: {matchLabels: {app: api}}\n", "", "spec.selector is missing"),
        ("{matchLabels: {app: api}}", "{}", "spec.selector is empty"),
        (
            "containers:\n      - name: app\n        image: app\n",
            "containers: []\n",
            "spec.template.spec.containers is empty",
        ),
        (
            "containers:\n      - name: app\n        image: app\n",
            "hostNetwork: true\n",
            "spec.template.spec.containers is missing",
        ),
        ("- name: app\n        image", "- image", "spec.template.spec.containers[0].name is missing"),
        ("image: app", "env: [{value: a}]", "spec.template.spec.containers[0].env[0].name is missing"),
    ] {
        refused(old, new, sentence);
    }
    for (manifest, sentence) in [
        (
            "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: a}\n",
            "StatefulSet/a: spec.selector is missing",
        ),
        ("apiVersion: batch/v1\nkind: Job\nmetadata: {name: a}\n", "Job/a: spec.template is missing"),
        (
            "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: a}\nspec: {jobTemplate: {}}\n",
            "CronJob/a: spec.jobTemplate is empty",
        ),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n", "Pod/a: spec.containers is missing"),
        (
            "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: a}\n",
            "Rollout/a: spec.template is missing, and so is spec.workloadRef",
        ),
    ] {
        for ran in both(manifest) {
            let told = format!("error: stdin, document 2 (line 5): {sentence}\n");
            assert_eq!((ran.code, ran.err.as_str()), (2, told.as_str()));
        }
    }
}

#[test]
fn strategies_that_contradict_themselves_are_refused() {
    let deployment = |strategy: &str, sentence: &str| {
        refused("replicas: 2", &format!("replicas: 2\n  strategy: {strategy}"), sentence);
    };
    let both_zero = "spec.strategy.rollingUpdate: maxSurge and maxUnavailable must not both be 0";
    deployment("{rollingUpdate: {maxSurge: 0, maxUnavailable: 0}}", both_zero);
    deployment("{rollingUpdate: {maxSurge: 0%, maxUnavailable: 0}}", both_zero);
    let left_out = "spec.strategy.rollingUpdate must be left out with type Recreate";
    deployment("{type: Recreate, rollingUpdate: {maxSurge: 1}}", left_out);
    let other = |kind: &str, strategy: &str| {
        let manifest = DEPLOYMENT
            .replace("kind: Deployment", &format!("kind: {kind}"))
            .replace("  replicas: 2\n", &format!("  updateStrategy: {strategy}\n"));
        both(&manifest)[0].err.clone()
    };
    let told = other("DaemonSet", "{rollingUpdate: {maxSurge: 1}}");
    assert!(told.contains("maxUnavailable must be 0 if maxSurge is not 0; its default is 1"), "{told}");
    let told = other("DaemonSet", "{rollingUpdate: {maxUnavailable: 0}}");
    assert!(told.contains("maxSurge and maxUnavailable must not both be 0"), "{told}");
    let told = other("StatefulSet", "{type: OnDelete, rollingUpdate: {partition: 1}}");
    assert!(told.contains("spec.updateStrategy.rollingUpdate must be left out with type OnDelete"), "{told}");
    for (kind, taken) in [
        ("DaemonSet", "{rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}"),
        ("DaemonSet", "{type: OnDelete, rollingUpdate: {maxUnavailable: 1}}"),
        ("StatefulSet", "{type: RollingUpdate, rollingUpdate: {partition: 1}}"),
    ] {
        assert!(!other(kind, taken).contains("updateStrategy"), "{kind} {taken}");
    }
    for strategy in [
        "{rollingUpdate: {maxSurge: 0}}",
        "{type: Recreate, rollingUpdate: null}",
        "{rollingUpdate: {maxUnavailable: 0}}",
    ] {
        let [plan, _] =
            both(&DEPLOYMENT.replace("replicas: 2", &format!("replicas: 2\n  strategy: {strategy}")));
        assert_eq!((plan.code, plan.err.as_str()), (0, ""), "{strategy}");
    }
}

fn autoscaler(version: &str, bounds: &str) -> String {
    format!(
        "{DEPLOYMENT}---\napiVersion: {version}\nkind: HorizontalPodAutoscaler\nmetadata: {{name: api}}\n\
         spec: {{scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: api}}, {bounds}}}\n"
    )
}

#[test]
fn an_autoscaler_without_a_valid_ceiling_is_refused() {
    for version in ["autoscaling/v1", "autoscaling/v2"] {
        for (bounds, sentence) in [
            ("maxReplica: 50", "spec.maxReplica: there is no such field, did you mean maxReplicas?"),
            ("minReplicas: 2", "spec.maxReplicas is missing"),
            ("maxReplicas: 0", "spec.maxReplicas must not be below 1; it is the number 0"),
            ("maxReplicas: -1", "spec.maxReplicas must not be below 1; it is the number -1"),
            (
                "minReplicas: 9, maxReplicas: 5",
                "spec.minReplicas must not be larger than spec.maxReplicas; they are 9 and 5",
            ),
        ] {
            for ran in both(&autoscaler(version, bounds)) {
                assert_eq!(
                    (ran.code, ran.err.contains(&format!("HorizontalPodAutoscaler/api: {sentence}\n"))),
                    (2, true),
                    "{}",
                    ran.err
                );
                assert!(!ran.out.contains("fits:"), "{}", ran.out);
            }
        }
    }
    let [plan, _] = both(&autoscaler("autoscaling/v2", "minReplicas: 2, maxReplicas: 2"));
    assert_eq!((plan.code, plan.err.as_str()), (0, ""));
}

#[test]
fn the_bounds_of_keda_are_held_against_its_own_rules() {
    let keda = |bounds: &str| {
        let manifest = format!(
            "{DEPLOYMENT}---\napiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {{name: api}}\nspec: {{scaleTargetRef: {{name: api}}, {bounds}}}\n"
        );
        let [plan, _] = both(&manifest);
        (plan.code, plan.err)
    };
    for (bounds, sentence) in [
        ("maxReplicaCount: 0", "spec.maxReplicaCount must not be below 1"),
        (
            "minReplicaCount: 6, maxReplicaCount: 5",
            "spec.minReplicaCount must not be larger than spec.maxReplicaCount; they are 6 and 5",
        ),
        ("minReplicaCount: 200", "they are 200 and 100"),
    ] {
        let (code, told) = keda(bounds);
        assert_eq!((code, told.contains(sentence)), (2, true), "{told}");
    }
    let (code, told) = keda("maxReplicas: 3");
    let sentence =
        "spec.maxReplicas: KEDA has no such field; without maxReplicaCount its ceiling is 100 replicas\n";
    assert_eq!((code, told.contains(sentence)), (1, true), "{told}");
    let (code, told) = keda("maxReplicaCount: 3, minReplicaCont: 1");
    assert_eq!(
        (code, told.contains("spec.minReplicaCont: KEDA has no such field, did you mean minReplicaCount?\n")),
        (0, true),
        "{told}"
    );
}

#[test]
fn a_version_that_is_not_served_and_a_kind_of_ours_that_there_is_not_are_refused() {
    for (old, new, told) in [
        ("apps/v1", "apps/v2", "Deployment/api: apiVersion apps/v2 does not have this kind: use apps/v1"),
        (
            "apps/v1",
            "extensions/v1beta1",
            "apiVersion extensions/v1beta1 does not have this kind: use apps/v1",
        ),
        ("autoscaling/v2", "autoscaling/v2beta2", "use autoscaling/v2 or autoscaling/v1"),
        (
            "dev/v1beta1",
            "dev/v1",
            "DbConnectionBudget/main: apiVersion poolbudget.dev/v1 does not have this kind: use poolbudget.dev/v1beta1",
        ),
        ("kind: DbC", "kind: DBC", "did you mean DbConnectionBudget of poolbudget.dev/v1beta1?"),
    ] {
        let manifest =
            format!("{BUDGET}{}", autoscaler("autoscaling/v2", "maxReplicas: 2")).replacen(old, new, 1);
        for command in ["plan", "inject"] {
            let ran = poolbudget(&[command, "-f", "-"], &manifest);
            assert_eq!((ran.code, ran.err.contains(told)), (2, true), "{command} {new}: {}", ran.err);
        }
    }
}

#[test]
fn what_is_refused_has_no_row_and_nothing_is_said_to_fit() {
    for noted in ["\"4 \"", "\"0\"", "\"1001\"", "four"] {
        let odd = DEPLOYMENT.replace(
            "{name: api, ",
            &format!("{{name: odd, annotations: {{poolbudget.dev/processes: {noted}}}, "),
        );
        let [plan, _] = both(&format!("{DEPLOYMENT}---\n{odd}"));
        assert_eq!((plan.code, plan.err.matches("Deployment default/odd").count()), (2, 1), "{}", plan.err);
        assert!(!plan.out.contains("odd") && plan.out.contains("Deployment/api"), "{}", plan.out);
        assert!(plan.out.contains("not judged: the input has errors"), "{}", plan.out);
    }
    let odd = DEPLOYMENT.replace("replicas: 2", "replicas: two");
    let ran = plan(&format!("{BUDGET}{odd}"), &["-o", "json"]);
    let answer: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON");
    let budget = &answer["budgets"][0];
    assert_eq!([&budget["judged"], &budget["fits"], &budget["fitsNow"]], [&serde_json::json!(false); 3]);
    assert!(!ran.err.contains("not in the input"), "{}", ran.err);
}

#[test]
fn what_does_not_fit_without_what_is_refused_does_not_fit_with_it() {
    let odd = DEPLOYMENT.replace("name: api", "name: odd").replace("replicas: 2", "replicas: two");
    let [plan, _] = both(&format!("{}---\n{odd}", DEPLOYMENT.replace("replicas: 2", "replicas: 40")));
    assert_eq!(
        (plan.code, plan.out.contains("\ndoes not fit: Deployment/api: 40 pods")),
        (2, true),
        "{}",
        plan.out
    );
}

#[test]
fn an_object_that_is_refused_is_there_for_those_that_name_it() {
    let manifest = autoscaler("autoscaling/v2", "maxReplicas: 2").replace("replicas: 2", "replicas: two");
    let [plan, _] = both(&manifest);
    assert!(!plan.err.contains("not in the input"), "{}", plan.err);
}

#[test]
fn limits_are_refused_in_the_words_of_the_resource() {
    let plan = |limit: &str, arguments: &[&str]| {
        let budget = BUDGET.replace("{connections: 15}", limit);
        plan(&format!("{budget}{DEPLOYMENT}"), arguments).err
    };
    let enterprise = "the Enterprise plan has no fixed limit: set limit.supabase.compute, or poolSize in session mode, or limit.connections";
    let one_size = "set exactly one of limit.supabase.plan, limit.supabase.compute, limit.supabase.project";
    let one_server = "set exactly one of limit.postgres.maxConnections, limit.postgres.secretRef";
    let unread = "the limit was not read yet from Secret/db:url";
    let one_form = "set exactly one of limit.supabase, limit.connections, limit.postgres";
    for (limit, sentence) in [
        ("{supabase: {plan: Enterprise, connection: Session}}", enterprise),
        ("{supabase: {plan: Pro, compute: Nano, connection: Session}}", one_size),
        ("{supabase: {connection: Session}}", one_size),
        ("{connections: 5, postgres: {maxConnections: 5}}", one_form),
        ("{postgres: {}}", one_server),
        ("{postgres: {maxConnections: 5, secretRef: {name: db, key: url}}}", one_server),
        ("{postgres: {secretRef: {name: db, key: url}}}", unread),
        ("{}", one_form),
    ] {
        let told = plan(limit, &[]);
        assert!(told.starts_with(&format!("error: DbConnectionBudget default/main: {sentence}")), "{told}");
    }
}

#[test]
fn a_flag_with_a_wrong_number_is_blamed_itself_and_kinds_go_by_the_names_of_kubectl() {
    let plan = |arguments: &[&str]| plan(&format!("{BUDGET}{DEPLOYMENT}"), arguments);
    for (arguments, told) in [
        (["--limit", "0"], "'--limit <[BUDGET=]N>': write a whole number from 1 to 1000000"),
        (["--limit", "main=x"], "'--limit <[BUDGET=]N>': write a whole number from 1 to 1000000"),
        (["--processes", "api=0"], "'--processes <[KIND/]NAME=N>': write a whole number from 1 to 1000"),
        (["--replicas", "api=-1"], "'--replicas <[KIND/]NAME=N>': write a whole number from 0 to 2147483647"),
        (["--label", "api="], "'--label <[KIND/]NAME=BUDGET>': write the name of a budget"),
    ] {
        let ran = plan(&arguments);
        assert_eq!((ran.code, ran.err.contains(told)), (2, true), "{}", ran.err);
    }
    for name in ["deploy/api", "deployments/api", "deployment.apps/api", "Deployment/api", "api"] {
        let ran = plan(&["--replicas", &format!("{name}=7")]);
        assert!(ran.out.contains("Deployment/api  7 "), "{name}: {}{}", ran.out, ran.err);
    }
    assert_eq!(plan(&["--replicas", "sts/api=7"]).code, 2);
}

#[test]
fn no_message_has_words_of_a_library() {
    let doubled = DEPLOYMENT.replace("replicas: 2", "replicas: 2\n  replicas: 3");
    let [plan, _] = both(&doubled);
    let told =
        "the key replicas occurs twice, and the last one counts: the second one is at line 11, column 3\n";
    assert!(plan.err.contains(told), "{}", plan.err);
    for help in ["plan", "inject", "forget", "grant-secret", "release"] {
        let ran = poolbudget(&[help, "--help"], "");
        let about: Vec<&str> = ran.out.split("Usage:").next().unwrap_or_default().lines().collect();
        for pair in about.windows(2).filter(|pair| !pair[1].is_empty() && !pair[0].is_empty()) {
            let word = pair[1].split_whitespace().next().unwrap_or_default();
            assert!(
                pair[0].len() + word.len() >= 100,
                "a line of {help} that is broken before it is full: {pair:?}"
            );
        }
    }
}

#[test]
fn of_many_workloads_ten_are_named() {
    let all: String = (0..13)
        .map(|n| format!("{}---\n", DEPLOYMENT.replace("name: api", &format!("name: w{n}"))))
        .collect();
    let [plan, _] = both(&all);
    assert!(
        plan.out.contains("Deployment/w5 and 3 more: 1 process in each pod")
            || plan.out.contains(" and 3 more: 1 process"),
        "{}",
        plan.out
    );
}
