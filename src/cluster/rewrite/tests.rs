use super::*;

fn deployment(env: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "api", "namespace": "shop", "uid": "u", "resourceVersion": "7"},
        "spec": {"template": {"spec": {"containers": [{"name": "proxy"}, {"name": "app", "env": env}]}}},
    })
}

fn values(pool_size: &str, max_overflow: &str) -> Values {
    Values {
        containers: vec!["app".into()],
        env: vec![("DB_POOL_SIZE".into(), pool_size.into()), ("DB_MAX_OVERFLOW".into(), max_overflow.into())],
    }
}

fn author(taken_back: u32) -> Author {
    Author { budget: "main".into(), now: Timestamp::from_second(1_800_000_000).expect("a time"), taken_back }
}

fn env(object: &Value) -> &Value {
    object.pointer("/spec/template/spec/containers/1/env").expect("an env")
}

/// What the API server makes of a write, as far as these tests need it.
fn stored(mut object: Value, write: &Write) -> Value {
    match write {
        Write::Patch(patch) => {
            let patch: json_patch::Patch = serde_json::from_value(patch.clone()).expect("a patch");
            json_patch::patch(&mut object, &patch).expect("a patch that fits");
        }
        Write::Apply(applied) => {
            object["metadata"]["annotations"][ORIGINAL_ENV] =
                applied["metadata"]["annotations"][ORIGINAL_ENV].clone();
            let entries =
                applied["spec"]["template"]["spec"]["containers"][0]["env"].as_array().expect("env").clone();
            let env = object["spec"]["template"]["spec"]["containers"][1]["env"].as_array_mut().expect("env");
            for entry in entries {
                match env.iter_mut().find(|old| old["name"] == entry["name"]) {
                    Some(old) => *old = entry,
                    None => env.push(entry),
                }
            }
        }
    }
    object
}

fn written(object: &Value, values: &Values, taken_back: u32) -> Value {
    stored(object.clone(), &write(object, values, &author(taken_back)).expect("a write"))
}

fn restored(mut object: Value) -> Value {
    while let Some(write) = restore(&object) {
        object = stored(object, &write);
    }
    object
}

#[test]
fn literals_are_applied_and_only_our_two_entries_are_named() {
    let object = deployment(&json!([{"name": "DB_POOL_SIZE", "value": "5"}, {"name": "A", "value": "b"}]));
    let write = write(&object, &values("2", "1"), &author(0)).expect("a write");
    let Write::Apply(body) = write else { panic!("{write:?}") };
    insta::assert_snapshot!(serde_json::to_string_pretty(&body).expect("json"));
}

#[test]
fn what_stood_there_comes_back_as_it_was() {
    let from = json!({"configMapKeyRef": {"name": "sizes", "key": "pool"}});
    for original in [
        json!([]),
        json!([{"name": "DB_POOL_SIZE", "value": "5"}, {"name": "A", "value": "b"}]),
        json!([{"name": "A", "value": "b"}, {"name": "DB_MAX_OVERFLOW", "value": "9"}, {"name": "DB_POOL_SIZE", "value": "5"}]),
        json!([{"name": "DB_POOL_SIZE", "valueFrom": from}, {"name": "DB_MAX_OVERFLOW", "value": "1"}]),
        json!([{"name": "DB_POOL_SIZE", "value": "5"}, {"name": "DB_POOL_SIZE", "value": "6"}]),
        json!([{"name": "DB_POOL_SIZE"}]),
    ] {
        let first = written(&deployment(&original), &values("2", "1"), 0);
        let second = written(&first, &values("1", "0"), 0);
        let effective = |name| {
            effective(env(&second).as_array().expect("env"), name).expect("an entry").1["value"].clone()
        };
        assert_eq!([effective("DB_POOL_SIZE"), effective("DB_MAX_OVERFLOW")], ["1", "0"], "{original}");
        let back = restored(second);
        assert_eq!(env(&back), &original);
        assert_eq!(back["metadata"]["annotations"], json!({}));
    }
}

#[test]
fn an_entry_that_reads_another_source_is_replaced_as_a_whole_at_the_version_that_was_read() {
    let from = json!({"secretKeyRef": {"name": "sizes", "key": "pool"}});
    let object = deployment(&json!([{"name": "DB_POOL_SIZE", "valueFrom": from}]));
    let write = write(&object, &values("2", "1"), &author(0)).expect("a write");
    let Write::Patch(patch) = &write else { panic!("{write:?}") };
    assert_eq!(patch[0], json!({"op": "test", "path": "/metadata/resourceVersion", "value": "7"}));
    let after = stored(object, &write);
    let both = json!([{"name": "DB_POOL_SIZE", "value": "2"}, {"name": "DB_MAX_OVERFLOW", "value": "1"}]);
    assert_eq!(env(&after), &both);
}

#[test]
fn every_container_of_the_app_is_written_and_put_back_init_containers_too() {
    let mut object = deployment(&json!([{"name": "DB_POOL_SIZE", "value": "5"}]));
    object["apiVersion"] = json!("argoproj.io/v1alpha1");
    object["spec"]["template"]["spec"]["initContainers"] = json!([{"name": "migrate"}]);
    let both = Values { containers: vec!["migrate".into(), "app".into()], ..values("2", "1") };
    let after = written(&object, &both, 0);
    assert_eq!(after.pointer("/spec/template/spec/initContainers/0/env/1/value"), Some(&json!("1")));
    assert_eq!(env(&after)[0]["value"], "2");
    assert!(noted(&after).expect("a note").is_about(&both));
    let back = restored(after);
    assert_eq!(back.pointer("/spec/template/spec/initContainers/0/env"), Some(&json!([])));
    assert_eq!(env(&back), env(&object));
}

#[test]
fn a_container_without_env_gets_one_and_a_missing_container_is_left_alone() {
    let mut object = deployment(&json!([]));
    object["apiVersion"] = json!("argoproj.io/v1alpha1");
    object["spec"]["template"]["spec"]["containers"][1].as_object_mut().expect("a container").remove("env");
    let after = written(&object, &values("2", "1"), 0);
    assert_eq!(env(&after).as_array().map(Vec::len), Some(2));
    let other = Values { containers: vec!["app".into(), "web".into()], ..values("2", "1") };
    assert_eq!(write(&object, &other, &author(0)), None);
}

#[test]
fn a_value_that_somebody_else_has_written_since_stays() {
    let mut object =
        written(&deployment(&json!([{"name": "DB_POOL_SIZE", "value": "5"}])), &values("2", "1"), 0);
    object["spec"]["template"]["spec"]["containers"][1]["env"][0]["value"] = json!("50");
    let back = restored(object.clone());
    assert_eq!(env(&back), &json!([{"name": "DB_POOL_SIZE", "value": "50"}]));
    // Written again, it is what stood there before.
    let back = restored(written(&object, &values("2", "1"), 1));
    assert_eq!(env(&back), &json!([{"name": "DB_POOL_SIZE", "value": "50"}]));
}

#[test]
fn who_took_a_value_back_is_remembered_by_the_name_of_its_manager() {
    let mut object =
        written(&deployment(&json!([{"name": "DB_POOL_SIZE", "value": "5"}])), &values("2", "1"), 0);
    let owns = |name: &str| {
        json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"app\"}": {"f:env": {
            format!("k:{{\"name\":\"{name}\"}}"): {"f:value": {}}}}}}}}})
    };
    object["metadata"]["managedFields"] = json!([
        {"manager": "poolbudget-rollout", "fieldsV1": owns("DB_MAX_OVERFLOW")},
        {"manager": "flux", "fieldsV1": owns("DB_POOL_SIZE")},
        {"manager": "kube-controller-manager", "fieldsV1": {"f:status": {}}},
    ]);
    object["spec"]["template"]["spec"]["containers"][1]["env"][0]["value"] = json!("50");
    let note = noted(&written(&object, &values("2", "1"), 1)).expect("a note");
    assert_eq!((note.taken_back, note.by.as_deref()), (1, Some("flux")));
}

#[test]
fn the_last_step_takes_our_ownership_away_and_nothing_else() {
    let mut object = written(&deployment(&json!([])), &values("2", "1"), 0);
    let manager = |name: &str| json!({"manager": name, "fieldsV1": {}});
    object["metadata"]["managedFields"] =
        json!([manager("poolbudget-rollout"), manager("helm"), manager("poolbudget-rollout")]);
    let back = restored(object);
    assert_eq!(back["metadata"]["managedFields"], json!([manager("helm")]));
}

#[test]
fn a_note_that_cannot_be_read_is_taken_away() {
    let mut object = deployment(&json!([{"name": "DB_POOL_SIZE", "value": "5"}]));
    object["metadata"]["annotations"] = json!({ORIGINAL_ENV: "{"});
    assert_eq!(restored(object.clone())["metadata"]["annotations"], json!({}));
    assert_eq!(restore(&deployment(&json!([]))), None);
}
