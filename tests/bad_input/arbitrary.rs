//! Random objects: sound ones with odd parts, and sound ones that were spoiled in any place.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};

use crate::objects::{self, BUDGET, late_bound};

/// Texts in which somebody may write a number, and others.
pub(crate) fn text() -> impl Strategy<Value = String> {
    let odd = [
        "",
        " ",
        "0",
        "00",
        "1",
        "-1",
        "-0",
        "+5",
        "007",
        "1_000",
        "1__0",
        "_1",
        "1e3",
        "0x10",
        "3.0",
        " 4 ",
        "\t9\n",
        "٥",
        "९",
        "９９",
        "½",
        "Ⅳ",
        "2147483647",
        "2147483648",
        "4294967295",
        "4294967296",
        "9223372036854775807",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999999999999999999",
        "NaN",
        "inf",
        "none",
        "$(POOL)",
        "$$(POOL)",
        "$(",
        "null",
        "true",
        "\u{0}",
        "\u{1f}3",
        "\u{202e}4",
        "👍",
        "main",
        "app",
        "SQLAlchemy",
        "9999-12-31T23:59:59Z",
        "25%",
        "101%",
        "-5%",
    ];
    prop_oneof![
        8 => select(odd.to_vec()).prop_map(ToOwned::to_owned),
        4 => (0..40_u32).prop_map(|n| n.to_string()),
        2 => any::<String>(),
        1 => any::<i64>().prop_map(|n| n.to_string()),
        1 => (select(vec!['7', 'x', '\u{1}', '👍']), 1_000..20_000_usize).prop_map(|(c, n)| c.to_string().repeat(n)),
    ]
}

fn number() -> impl Strategy<Value = Value> {
    let bounds = [
        i64::MIN,
        i64::MAX,
        -1,
        0,
        1,
        2,
        i64::from(i32::MIN),
        i64::from(i32::MAX),
        i64::from(i32::MAX) + 1,
        i64::from(u32::MAX),
        i64::from(u32::MAX) + 1,
        1_000_000,
        1_000_001,
    ];
    prop_oneof![
        select(bounds.to_vec()).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(|n| json!(n)),
        (0..12_u32).prop_map(Value::from),
    ]
}

/// Any JSON.
pub(crate) fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        2 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        3 => number(),
        4 => text().prop_map(Value::from),
        1 => Just(json!({})),
        1 => Just(json!([])),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((text(), inner), 0..4).prop_map(|entries| Value::from(Map::from_iter(entries))),
        ]
    })
}

/// What is done to one place of an object.
#[derive(Clone, Debug)]
enum Edit {
    Replace(Value),
    Remove,
    /// What is in a list is there twice.
    Double,
    /// What is in a list is there the other way round.
    Reverse,
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        6 => anything().prop_map(Edit::Replace),
        2 => Just(Edit::Remove),
        1 => Just(Edit::Double),
        1 => Just(Edit::Reverse),
    ]
}

/// The object with up to `most` places spoiled.
pub(crate) fn spoiled(object: Value, most: usize) -> impl Strategy<Value = Value> {
    vec((any::<Index>(), edit()), 0..=most).prop_map(move |edits| {
        let mut object = object.clone();
        for (place, edit) in edits {
            let mut places = Vec::new();
            pointers(&object, "", &mut places);
            if !places.is_empty() {
                apply(&mut object, place.get::<String>(&places), edit);
            }
        }
        object
    })
}

/// All places under the root, as JSON pointers.
fn pointers(value: &Value, here: &str, places: &mut Vec<String>) {
    let mut under = |key: String, value: &Value| {
        let there = format!("{here}/{}", key.replace('~', "~0").replace('/', "~1"));
        pointers(value, &there, places);
        places.push(there);
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| under(key.clone(), value)),
        Value::Array(list) => list.iter().enumerate().for_each(|(i, value)| under(i.to_string(), value)),
        _ => {}
    }
}

fn apply(object: &mut Value, place: &str, edit: Edit) {
    if let Edit::Remove = edit {
        let (parent, key) = place.rsplit_once('/').expect("a place under the root");
        let key = key.replace("~1", "/").replace("~0", "~");
        match object.pointer_mut(parent) {
            Some(Value::Object(map)) => drop(map.remove(&key)),
            Some(Value::Array(list)) => drop(list.remove(key.parse().expect("an index"))),
            _ => {}
        }
        return;
    }
    let Some(target) = object.pointer_mut(place) else { return };
    match (edit, target) {
        (Edit::Replace(value), target) => *target = value,
        (Edit::Double, Value::Array(list)) => list.extend_from_within(..),
        (Edit::Reverse, Value::Array(list)) => list.reverse(),
        _ => {}
    }
}

/// An entry of an env that has to do with pool sizes.
fn env_entry() -> impl Strategy<Value = Value> {
    let name = select(vec![
        "DB_POOL_SIZE",
        "DB_MAX_OVERFLOW",
        "POOL",
        "OVERFLOW",
        "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE",
        "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW",
        "DB_POSTGRESDB_POOL_SIZE",
        "",
    ]);
    let literal = text().prop_map(|text| json!({"value": text}));
    let paths = [
        "metadata.annotations['poolbudget.dev/pool-size']",
        "metadata.annotations['poolbudget.dev/max-overflow']",
        "metadata.annotations['team']",
        "metadata.labels['app']",
        "metadata.annotations[\"poolbudget.dev/pool-size\"]",
        "metadata.annotations",
        "metadata.name",
        "",
    ];
    let field =
        select(paths.to_vec()).prop_map(|path| json!({"valueFrom": {"fieldRef": {"fieldPath": path}}}));
    let elsewhere = select(vec!["configMapKeyRef", "secretKeyRef", "resourceFieldRef", "fileKeyRef"])
        .prop_map(|from| json!({"valueFrom": {from: {"name": "c", "key": "k"}}}));
    let both = (text(), Just("metadata.annotations['poolbudget.dev/pool-size']"))
        .prop_map(|(text, path)| json!({"value": text, "valueFrom": {"fieldRef": {"fieldPath": path}}}));
    let says = prop_oneof![6 => literal, 3 => field, 1 => elsewhere, 1 => both, 1 => Just(json!({}))];
    (name, says).prop_map(|(name, mut entry)| {
        entry["name"] = name.into();
        entry
    })
}

fn container() -> impl Strategy<Value = Value> {
    let env = prop_oneof![2 => Just(late_bound()), 3 => vec(env_entry(), 0..5).prop_map(Value::from)];
    let from = prop_oneof![6 => Just(json!([])), 1 => Just(json!([{"configMapRef": {"name": "c"}}])),
        1 => Just(json!([{"prefix": "DB_", "secretRef": {"name": "c"}}])), 1 => Just(json!([{"prefix": "X_"}]))];
    let name = select(vec!["app", "web", "proxy"]);
    (name, env, from, runs()).prop_map(|(name, env, from, (command, args))| {
        json!({"name": name, "env": env, "envFrom": from, "command": command, "args": args})
    })
}

/// A command and arguments: those that say how many processes there are, and any words.
fn runs() -> impl Strategy<Value = (Value, Value)> {
    let number = || prop_oneof![4 => (0..40_u32).prop_map(|n| n.to_string()), 1 => text()];
    let server = (number(), any::<bool>()).prop_map(|(n, uvicorn)| {
        if uvicorn { json!(["uvicorn", "a:b", "--workers", n]) } else { json!(["gunicorn", "-w", n, "a:b"]) }
    });
    let shell = number().prop_map(|n| json!(["sh", "-c", format!("exec gunicorn -w {n} a:b")]));
    let odd = [
        "sh", "-c", "-lc", "exec", "$(", "${A:-${B", "'", "`", "&", "gunicorn", "celery", "worker", "-w",
        "--", "python", "-m",
    ];
    let word = prop_oneof![3 => select(odd.to_vec()).prop_map(ToOwned::to_owned), 1 => text()];
    let words = || vec(word.clone(), 0..6).prop_map(Value::from);
    prop_oneof![
        4 => Just((json!([]), json!([]))),
        2 => server.clone().prop_map(|server| (server, json!([]))),
        1 => server.prop_map(|server| (json!([]), server)),
        1 => shell.prop_map(|shell| (shell, json!([]))),
        1 => (words(), words()),
    ]
}

fn annotations() -> impl Strategy<Value = Value> {
    let keys = [
        "processes",
        "engines",
        "container",
        "profile",
        "connections-per-process",
        "pool-size-env",
        "max-overflow-env",
        "pool-size",
        "max-overflow",
        "connections",
        "taken-over-by",
    ];
    let entry = (
        select(keys.to_vec()),
        prop_oneof![3 => (1..9_u32).prop_map(|n| n.to_string()), 2 => text(),
        1 => select(vec!["POOL", "OVERFLOW", "app", "web", "app,migrate", "web,proxy,app", "app=2,migrate=9", "web=x"])
            .prop_map(ToOwned::to_owned)],
    );
    let profile = select(vec!["SQLAlchemy", "MLflow", "n8n", "Airflow", "Superset", "Prisma", "NullPool"])
        .prop_map(|name| ("profile", name.to_owned()));
    let entry = prop_oneof![7 => entry, 2 => profile];
    let ours = vec(entry, 0..6).prop_map(|entries| {
        Value::from(Map::from_iter(
            entries.into_iter().map(|(key, text)| (format!("poolbudget.dev/{key}"), Value::from(text))),
        ))
    });
    let granted = (1..20_u32, 0..20_u32, 1..60_u32).prop_map(|(pool, overflow, bill)| {
        json!({"poolbudget.dev/pool-size": pool.to_string(), "poolbudget.dev/max-overflow": overflow.to_string(),
            "poolbudget.dev/connections": bill.to_string(), "poolbudget.dev/processes": "2"})
    });
    prop_oneof![3 => ours, 2 => granted, 1 => Just(json!({}))]
}

fn status() -> impl Strategy<Value = Value> {
    let state = select(vec!["running", "terminated", "terminated", "waiting"]);
    let name = select(vec!["app", "web", "proxy", "migrate"]);
    let report = (name, state, 0..2_u32).prop_map(
        |(name, state, restarts)| json!({"name": name, "restartCount": restarts, "state": {state: {}}}),
    );
    let states = || vec(report.clone(), 0..4).prop_map(Value::from);
    let phase = select(vec!["Pending", "Running", "Succeeded", "Failed", "Unknown", ""]);
    let ready = (
        select(vec!["True", "False", "Unknown"]),
        select(vec!["PodFailed", "PodCompleted", "ContainersNotReady", "DeletionByPodGC", ""]),
        select(vec!["Ready", "DisruptionTarget"]),
    );
    let message = select(vec!["Pod was rejected: no room", "The node was low on memory", ""]);
    (phase, states(), states(), ready, message).prop_map(|(phase, init, states, (ready, reason, kind), message)| {
        json!({"phase": phase, "initContainerStatuses": init, "containerStatuses": states, "message": message,
            "startTime": "2026-01-01T00:00:00Z", "conditions": [{"type": kind, "status": ready, "reason": reason},
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": "9999-12-31T23:59:59Z"}]})
    })
}

fn gates() -> impl Strategy<Value = Value> {
    let gate = select(vec!["poolbudget.dev/connections", "other.example.com/gate", ""]);
    prop_oneof![
        3 => Just(json!([])),
        2 => Just(json!([{"name": "poolbudget.dev/connections"}])),
        2 => vec(gate.prop_map(|name| json!({"name": name})), 0..4).prop_map(Value::from),
    ]
}

/// Containers that run before the others, or beside them.
fn init() -> impl Strategy<Value = Value> {
    let one =
        (container(), select(vec!["migrate", "app"]), any::<bool>()).prop_map(|(container, name, stays)| {
            let mut container = container;
            container["name"] = name.into();
            if stays {
                container["restartPolicy"] = "Always".into();
            }
            container
        });
    prop_oneof![2 => Just(json!([])), 1 => vec(one, 0..3).prop_map(Value::from)]
}

/// A pod as the API server would let it be stored were there no admission policies, or one that is worse.
pub(crate) fn pod(name: &'static str) -> impl Strategy<Value = Value> {
    let parts =
        || (vec(container(), 0..4), init(), annotations(), status(), gates(), any::<bool>(), any::<bool>());
    let odd = || {
        parts().prop_map(move |(containers, init, annotations, status, gates, deleted, plain)| {
            let mut pod = objects::pod(name);
            pod["spec"]["initContainers"] = init;
            pod["spec"]["containers"] = containers.into();
            pod["spec"]["schedulingGates"] = gates;
            pod["metadata"]["annotations"] = annotations;
            if !plain {
                pod["status"] = status;
            }
            if deleted && !plain {
                pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            }
            pod
        })
    };
    prop_oneof![3 => odd(), 2 => odd().prop_flat_map(|pod| spoiled(pod, 3)), 1 => spoiled(objects::pod(name), 3)]
}

/// A workload's template, odd in what an author may write.
fn template() -> impl Strategy<Value = Value> {
    (vec(container(), 1..3), annotations(), any::<bool>()).prop_map(|(containers, annotations, labelled)| {
        let labels = if labelled { json!({"poolbudget.dev/budget": BUDGET}) } else { json!({}) };
        json!({"metadata": {"labels": labels, "annotations": annotations, "creationTimestamp": "9999-12-31T23:59:59Z"},
            "spec": {"containers": containers}})
    })
}

/// An object with another template, and then spoiled in some places.
pub(crate) fn workload(object: Value) -> impl Strategy<Value = Value> {
    let other = (Just(object.clone()), template(), number(), anything()).prop_map(
        |(mut object, template, replicas, surge)| {
            object["spec"]["template"] = template;
            object["spec"]["replicas"] = replicas;
            if object["kind"] == "Deployment" {
                object["spec"]["strategy"]["rollingUpdate"]["maxSurge"] = surge;
            }
            object
        },
    );
    prop_oneof![1 => Just(object.clone()), 1 => other, 2 => spoiled(object, 3)]
}

/// An object, or what is made from its template, of a group with any name, or that is none.
pub(crate) fn grouped(object: Value) -> impl Strategy<Value = Value> {
    let name = prop_oneof![2 => Just(json!("import")), 1 => Just(json!("")), 2 => text().prop_map(Value::String), 1 => anything()];
    (Just(object), name).prop_map(|(mut object, name)| {
        let own = ["/spec/template/metadata/labels", "/metadata/labels"];
        let path = own.iter().find(|path| object.pointer(path).is_some()).expect("labels");
        object.pointer_mut(path).expect("labels")["poolbudget.dev/workload"] = name;
        object
    })
}

/// A budget with a spoiled spec, a spoiled status, or grants in flight and pods in quarantine that make no sense.
pub(crate) fn budget() -> impl Strategy<Value = Value> {
    let entry = || {
        (number(), number(), number(), select(vec!["a", "b", "c", "z"])).prop_map(
        |(pool_size, max_overflow, connections, pod)| {
            json!({"uid": format!("uid-of-{pod}"), "pod": pod, "workload": "Deployment/api", "poolSize": pool_size,
                "maxOverflow": max_overflow, "connections": connections, "until": "9999-01-01T00:00:00Z"})
        },
    )
    };
    let entries = (vec(entry(), 0..3), vec(entry(), 0..2), number(), number());
    let odd_status = entries.prop_map(|(grants, quarantine, epoch, replicas)| {
        let mut budget = objects::budget();
        let ledger = &mut budget["status"]["ledger"];
        ledger["grants"] = grants.into();
        ledger["quarantine"] = quarantine.into();
        ledger["epoch"] = epoch;
        ledger["baselines"][0]["replicas"] = replicas;
        budget
    });
    prop_oneof![1 => odd_status, 1 => spoiled(objects::budget(), 4)]
}
