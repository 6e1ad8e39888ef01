//! What a pod may hold, by trial cases: the oracle of everything that counts must count rightly itself.

use serde_json::{Value, json};
use testkit::may_hold::{UNLIMITED, may_hold, python_int};

#[test]
fn numbers_are_read_as_python_reads_them() {
    let good = [(" 4 ", 4), ("+5", 5), ("007", 7), ("1_000", 1000), ("-1", -1), ("٥", 5), ("９９", 99)];
    for (text, number) in good {
        assert_eq!(python_int(text), Some(number), "{text:?}");
    }
    for bad in ["", "abc", "3.0", "0x10", "1e3", "1__0", "_1", "1_", "+", "--1", "+ 1"] {
        assert_eq!(python_int(bad), None, "{bad:?}");
    }
}

fn pod(env: &Value, annotations: &Value) -> Value {
    json!({"metadata": {"annotations": annotations}, "spec": {"containers": [{"name": "app", "env": env}]}})
}

#[test]
fn a_pod_may_hold_what_sqlalchemy_opens_for_its_env() {
    let env = |pool: &str, overflow: &str| json!([{"name": "DB_POOL_SIZE", "value": pool}, {"name": "DB_MAX_OVERFLOW", "value": overflow}]);
    let cases = [
        (env("3", "4"), 7),
        (env("", "abc"), 15),
        (env("0", "4"), UNLIMITED),
        (env("5", "-1"), UNLIMITED),
        (env("$(SIZE)", "0"), UNLIMITED),
        (json!([]), 15),
    ];
    for (env, most) in cases {
        assert_eq!(may_hold(&pod(&env, &json!({}))), most, "{env}");
    }
    let late = json!([{"name": "DB_POOL_SIZE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['x']"}}}]);
    assert_eq!(may_hold(&pod(&late, &json!({"x": "40", "poolbudget.dev/processes": "2"}))), 100);
}

#[test]
fn a_variable_without_a_name_makes_no_container_one_that_connects() {
    let mut pod = pod(&json!([]), &json!({"poolbudget.dev/pool-size-env": ""}));
    let odd = json!({"name": "web", "env": [{"name": "", "value": ""}]});
    pod["spec"]["containers"].as_array_mut().expect("containers").push(odd);
    assert_eq!(may_hold(&pod), 15);
}

#[test]
fn without_an_annotation_the_container_that_kubectl_takes_counts() {
    let usual = json!({"kubectl.kubernetes.io/default-container": "web"});
    let mut pod = pod(&json!([]), &usual);
    let web = json!({"name": "web", "env": [{"name": "DB_POOL_SIZE", "value": "1"}]});
    pod["spec"]["containers"].as_array_mut().expect("containers").push(web);
    assert_eq!(may_hold(&pod), 11);
}
