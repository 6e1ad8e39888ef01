//! Mode Rollout without any admission: templates are written one at a time, and put back; crashes, rivals and missing
//! permissions in between.

use poolbudget::api::Mode;
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::door::Fate;
use super::server::{BUDGET, NAMESPACE, Request};
use super::term::{Term, now, pass};

const NOTE: &str = "poolbudget.dev/original-env";

/// Deployments of two pods each whose pods roll when they are told to.
struct Shop {
    cluster: Cluster,
    born: u32,
}

impl Shop {
    /// A budget of 12 usable connections in mode Rollout, and Deployments with this env.
    fn new(workloads: &[(&str, Value)]) -> Self {
        let cluster = Cluster::new(13, "Current");
        cluster.server().edit_budget(|spec| spec.mode = Mode::Rollout);
        let mut shop = Self { cluster, born: 0 };
        for (name, env) in workloads {
            let template = json!({
                "metadata": {"labels": {"poolbudget.dev/budget": BUDGET}},
                "spec": {"containers": [{"name": "app", "env": env}]},
            });
            let deployment = json!({
                "metadata": {"name": name, "namespace": NAMESPACE, "generation": 1, "uid": name},
                "spec": {
                    "replicas": 2, "template": template,
                    "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
                },
                "status": {"observedGeneration": 1},
            });
            shop.cluster.server().store_deployment(name, deployment);
            shop.roll(name);
        }
        shop
    }

    /// The workload's controllers and kubelets do all that they have to.
    fn roll(&mut self, name: &str) {
        let mut server = self.cluster.server();
        let mut deployment = server.deployments[name].clone();
        let template = deployment["spec"]["template"].clone();
        let set = format!("{name}-1");
        let old = server.sets.get(name).cloned();
        if old.as_ref().is_some_and(|old| old["spec"]["template"] == template) {
            return;
        }
        self.born += 1;
        let owner = |kind: &str, of: &str| json!([{"apiVersion": "apps/v1", "kind": kind, "name": of, "uid": of, "controller": true}]);
        server.store_set(
            name,
            json!({
                "metadata": {
                    "name": set, "namespace": NAMESPACE, "ownerReferences": owner("Deployment", name),
                    "annotations": {"deployment.kubernetes.io/revision": self.born.to_string()},
                },
                "spec": {"replicas": 2, "template": template}, "status": {"replicas": 2, "readyReplicas": 2},
            }),
        );
        let gone: Vec<String> = server.pods.keys().filter(|pod| pod.starts_with(&set)).cloned().collect();
        gone.iter().for_each(|pod| server.remove_pod(pod));
        for index in 0..2 {
            let uid = server.uid();
            server.store_pod(json!({
                "metadata": {
                    "name": format!("{set}-{}-{index}", self.born), "namespace": NAMESPACE, "uid": uid,
                    "creationTimestamp": now().to_string(), "labels": {"poolbudget.dev/budget": BUDGET},
                    "ownerReferences": owner("ReplicaSet", &set),
                },
                "spec": {"containers": template["spec"]["containers"], "nodeName": "node"},
                "status": {
                    "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
                    "containerStatuses": [{"state": {"running": {}}}],
                },
            }));
        }
        deployment["status"]["observedGeneration"] = deployment["metadata"]["generation"].clone();
        server.store_deployment(name, deployment);
    }

    /// So many looks, a second apart; everything rolls at once.
    fn turns(&mut self, term: &mut Term, looks: usize) {
        for _ in 0..looks {
            pass(1);
            term.catch_up();
            term.look().expect("an end of the look");
            let names: Vec<String> = self.cluster.server().deployments.keys().cloned().collect();
            names.iter().for_each(|name| self.roll(name));
        }
    }

    fn env(&self, name: &str) -> Value {
        self.cluster.server().deployments[name]["spec"]["template"]["spec"]["containers"][0]["env"].clone()
    }

    /// The values of both variables.
    fn sizes(&self, name: &str) -> (String, String) {
        let env = self.env(name);
        let value = |name: &str| {
            let entry = env.as_array().expect("env").iter().find(|entry| entry["name"] == name);
            entry.map_or_else(String::new, |entry| entry["value"].as_str().unwrap_or_default().to_owned())
        };
        (value("DB_POOL_SIZE"), value("DB_MAX_OVERFLOW"))
    }

    fn note(&self, name: &str) -> Option<Value> {
        let server = self.cluster.server();
        let text = server.deployments[name]["metadata"]["annotations"][NOTE].as_str()?.to_owned();
        Some(serde_json::from_str(&text).expect("a note"))
    }

    fn set(&self, mode: Mode) {
        self.cluster.server().edit_budget(|spec| spec.mode = mode);
    }

    /// Somebody writes the template.
    fn edit(&self, name: &str, by: &str, edit: impl FnOnce(&mut Value)) {
        let mut server = self.cluster.server();
        let mut deployment = server.deployments[name].clone();
        edit(&mut deployment["spec"]["template"]);
        let generation = deployment["metadata"]["generation"].as_i64().expect("a generation");
        deployment["metadata"]["generation"] = json!(generation + 1);
        let entry = json!({"f:value": {}});
        let env = json!({"k:{\"name\":\"DB_POOL_SIZE\"}": entry});
        let fields = json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"app\"}": {"f:env": env}}}}}});
        deployment["metadata"]["managedFields"] = json!([{"manager": by, "fieldsV1": fields}]);
        server.store_deployment(name, deployment);
    }

    fn pool_size(&self, name: &str, by: &str, value: &str) {
        self.edit(name, by, |template| {
            let env = template["spec"]["containers"][0]["env"].as_array_mut().expect("env");
            let entry = env.iter_mut().find(|entry| entry["name"] == "DB_POOL_SIZE").expect("an entry");
            entry["value"] = json!(value);
        });
    }
}

fn literals(pool_size: &str, max_overflow: &str) -> Value {
    json!([{"name": "DB_POOL_SIZE", "value": pool_size}, {"name": "DB_MAX_OVERFLOW", "value": max_overflow}])
}

/// Two workloads of two pods and a surge pod each, which get 2 connections a pod.
fn written() -> (Shop, Term) {
    let mut shop = Shop::new(&[("api", literals("5", "10")), ("web", literals("1", "0"))]);
    let mut term = Term::begin(&shop.cluster);
    shop.turns(&mut term, 10);
    assert_eq!((shop.sizes("api"), shop.sizes("web")), (two(), two()));
    (shop, term)
}

fn two() -> (String, String) {
    ("1".into(), "1".into())
}

#[test]
fn each_template_is_written_once_and_shrinks_come_before_growth() {
    let mut shop = Shop::new(&[("api", literals("1", "0")), ("web", literals("5", "10"))]);
    let mut term = Term::begin(&shop.cluster);
    shop.turns(&mut term, 1);
    assert_eq!((shop.sizes("api").0, shop.sizes("web")), ("1".into(), two()));
    assert_eq!(shop.sizes("api").1, "0", "it grows only after the other one has rolled out");
    shop.turns(&mut term, 5);
    assert_eq!(shop.sizes("api"), two());
    shop.turns(&mut term, 20);
    assert_eq!(shop.cluster.server().template_writes, 2);
    let within = shop.cluster.server().condition("WithinLimit");
    assert_eq!(within.status, "True", "{}", within.message);
    assert_eq!(shop.cluster.server().condition("Settled").reason, "Settled");
}

#[test]
fn growth_waits_while_a_rollout_that_was_written_goes_on() {
    let mut shop = Shop::new(&[("api", literals("1", "0")), ("web", literals("5", "10"))]);
    let mut term = Term::begin(&shop.cluster);
    for _ in 0..5 {
        pass(1);
        term.catch_up();
        term.look().expect("an end of the look");
    }
    assert_eq!((shop.sizes("web"), shop.sizes("api").1), (two(), "0".to_owned()));
    let settled = shop.cluster.server().condition("Settled");
    assert_eq!(
        (settled.reason.as_str(), settled.status.as_str()),
        ("Rewriting", "False"),
        "{}",
        settled.message
    );
    shop.roll("web");
    shop.turns(&mut term, 3);
    assert_eq!(shop.sizes("api"), two());
}

#[test]
fn a_workload_is_written_again_after_the_interval_only() {
    let (mut shop, mut term) = written();
    shop.cluster.server().edit_budget(|spec| spec.limit.connections = Some(7));
    shop.turns(&mut term, 10);
    assert_eq!(shop.sizes("api"), two());
    let settled = shop.cluster.server().condition("Settled");
    assert!(settled.message.contains("it was written lately; not before 20"), "{}", settled.message);
    pass(300);
    shop.turns(&mut term, 5);
    assert_eq!([shop.sizes("api").1, shop.sizes("web").1], ["0", "0"]);
}

#[test]
fn the_original_values_come_back_when_the_mode_the_label_or_the_budget_goes() {
    type End = fn(&Shop);
    let ends: [(&str, End); 4] = [
        ("Gate", |shop| shop.set(Mode::Gate)),
        ("Observe", |shop| shop.set(Mode::Observe)),
        ("label", |shop| {
            for name in ["api", "web"] {
                shop.edit(name, "kubectl", |template| {
                    template["metadata"]["labels"]
                        .as_object_mut()
                        .expect("labels")
                        .remove("poolbudget.dev/budget");
                });
            }
        }),
        ("budget", |shop| shop.cluster.server().delete_budget()),
    ];
    for (what, end) in ends {
        let (mut shop, mut term) = written();
        end(&shop);
        shop.turns(&mut term, 10);
        assert_eq!([shop.env("api"), shop.env("web")], [literals("5", "10"), literals("1", "0")], "{what}");
        assert_eq!((shop.note("api"), shop.note("web")), (None, None), "{what}");
    }
}

#[test]
fn an_entry_with_another_source_and_one_that_was_not_there_come_back_as_they_were() {
    let from = json!({"configMapKeyRef": {"name": "sizes", "key": "pool"}});
    let env = json!([{"name": "A", "value": "b"}, {"name": "DB_POOL_SIZE", "valueFrom": from}]);
    let mut shop = Shop::new(&[("api", env.clone())]);
    shop.edit("api", "kubectl", |template| {
        template["spec"]["containers"][0]["envFrom"] = json!([{"configMapRef": {"name": "all"}}]);
    });
    shop.roll("api");
    let mut term = Term::begin(&shop.cluster);
    shop.turns(&mut term, 5);
    assert_eq!(shop.sizes("api"), ("2".into(), "2".into()));
    shop.set(Mode::Observe);
    shop.turns(&mut term, 5);
    assert_eq!(shop.env("api"), env);
}

#[test]
fn what_is_taken_back_twice_is_contested_and_left_to_its_owner_for_an_hour() {
    let (mut shop, mut term) = written();
    let writes = || shop.cluster.server().template_writes;
    assert_eq!(writes(), 2);
    pass(300);
    shop.pool_size("api", "flux", "50");
    shop.turns(&mut term, 5);
    assert_eq!((shop.sizes("api"), shop.cluster.server().template_writes), (two(), 3));
    pass(300);
    shop.pool_size("api", "flux", "50");
    shop.turns(&mut term, 5);
    pass(600);
    shop.turns(&mut term, 5);
    assert_eq!((shop.sizes("api").0, shop.cluster.server().template_writes), ("50".into(), 3));
    let contested = shop.cluster.server().condition("Contested");
    assert_eq!((contested.status.as_str(), contested.reason.as_str()), ("True", "TakenBack"));
    assert!(contested.message.contains("flux keeps taking back"), "{}", contested.message);
    pass(3600);
    shop.turns(&mut term, 5);
    assert_eq!((shop.sizes("api"), shop.cluster.server().template_writes), (two(), 4));
    assert_eq!(shop.cluster.server().condition("Contested").status, "False");
    // What goes back in the end is what its owner wrote last.
    shop.set(Mode::Observe);
    shop.turns(&mut term, 5);
    assert_eq!(shop.sizes("api").0, "50");
}

#[test]
fn a_contested_value_stays_its_owners_when_the_mode_goes() {
    let (mut shop, mut term) = written();
    shop.pool_size("api", "flux", "50");
    shop.set(Mode::Gate);
    shop.turns(&mut term, 5);
    assert_eq!((shop.sizes("api").0, shop.note("api")), ("50".to_owned(), None));
}

#[test]
fn a_missing_permission_is_reported_and_keeps_nothing_else_from_being_done() {
    let mut shop = Shop::new(&[("api", literals("5", "10"))]);
    let mut term = Term::begin(&shop.cluster);
    term.door.follow(|_, call| {
        Some(if matches!(call.write, Some(Request::Workload { .. })) {
            Fate::Refused(403)
        } else {
            Fate::Done
        })
    });
    shop.turns(&mut term, 5);
    let blocked = shop.cluster.server().condition("Blocked");
    assert_eq!((blocked.status.as_str(), blocked.reason.as_str()), ("True", "Forbidden"));
    assert!(blocked.message.contains("rolloutMode.enabled"), "{}", blocked.message);
    term.heal();
    shop.turns(&mut term, 5);
    assert_eq!(shop.sizes("api"), ("2".into(), "2".into()));
    assert_eq!(shop.cluster.server().condition("Blocked").status, "False");
}

/// The first leader meets `fate` at its `k`-th write; a second one goes on. None when the first had fewer writes.
fn dies_at(k: usize, fate: Fate) -> Option<Shop> {
    let mut shop = Shop::new(&[("api", literals("1", "0")), ("web", literals("5", "10"))]);
    let mut first = Term::begin(&shop.cluster);
    first.door.follow(move |_, call| {
        Some(if call.write.is_some() && call.number == k { fate } else { Fate::Done })
    });
    let mut died = false;
    for round in 0..20 {
        pass(1);
        first.catch_up();
        if first.look().is_none() {
            died = true;
            break;
        }
        ["api", "web"].iter().for_each(|name| shop.roll(name));
        if round == 10 {
            shop.set(Mode::Observe);
        }
    }
    if !died {
        return None;
    }
    let mut second = Term::begin(&shop.cluster);
    shop.turns(&mut second, 10);
    shop.set(Mode::Observe);
    shop.turns(&mut second, 10);
    Some(shop)
}

#[test]
fn a_leader_may_die_before_or_after_any_write_and_what_stood_there_still_comes_back() {
    for fate in [Fate::DiesBefore, Fate::DiesAfter] {
        let mut writes = 0;
        while let Some(shop) = dies_at(writes, fate) {
            assert_eq!(
                [shop.env("api"), shop.env("web")],
                [literals("1", "0"), literals("5", "10")],
                "write {writes}"
            );
            assert_eq!((shop.note("api"), shop.note("web")), (None, None), "write {writes}");
            writes += 1;
        }
        assert!(writes >= 8, "only {writes} writes");
    }
}

#[test]
fn gated_pods_are_let_through_at_what_was_written() {
    let (mut shop, mut term) = written();
    let mut server = shop.cluster.server();
    let mut pod = server.pods.values().next().cloned().expect("a pod");
    pod["metadata"]["name"] = json!("api-1-gated");
    pod["metadata"]["uid"] = json!(server.uid());
    pod["metadata"]["annotations"] =
        json!({"poolbudget.dev/replaced-env": r#"{"DB_POOL_SIZE":"1","DB_MAX_OVERFLOW":"1"}"#});
    pod["spec"]["schedulingGates"] = json!([{"name": "poolbudget.dev/connections"}]);
    let late = |key: &str| json!({"fieldRef": {"fieldPath": format!("metadata.annotations['poolbudget.dev/{key}']")}});
    pod["spec"]["containers"][0]["env"] = json!([
        {"name": "DB_POOL_SIZE", "valueFrom": late("pool-size")},
        {"name": "DB_MAX_OVERFLOW", "valueFrom": late("max-overflow")},
    ]);
    server.store_pod(pod);
    drop(server);
    shop.turns(&mut term, 3);
    let server = shop.cluster.server();
    assert_eq!(server.pods["api-1-gated"]["metadata"]["annotations"]["poolbudget.dev/connections"], "2");
}
