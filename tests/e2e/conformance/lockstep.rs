//! A StatefulSet or DaemonSet on its real controller, one step after the other.
//!
//! In: steps. Out: the pods at each rest. As in [`super::real`] the test is scheduler and kubelet itself.
//! Forbidden here: what the model does.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::{DaemonSet, StatefulSet};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::ApiResource;
use kube::{Api, Client};
use serde_json::{Value, json};
use testkit::eventually;
use testkit::model::{daemon_set, stateful_set};
use testkit::objects::{DRAIN_MS, START_MS};

use super::real::{bind, name};
use super::recording::{TEMPLATE, class, template_of};
use super::script::Class;
use super::sets::{Seen, Step, Twin, Update, target};
use crate::world::SOON;

const NAME: &str = "app";
/// Eleven days: the fake kubelets never come to it.
const NEVER_MS: &str = "1000000000";

pub(crate) struct Stage {
    objects: Api<DynamicObject>,
    pods: Api<Pod>,
    /// By name.
    nodes: Vec<String>,
    touches: u32,
}

pub(crate) fn sorted<T: Ord>(mut all: Vec<T>) -> Vec<T> {
    all.sort();
    all
}

impl Stage {
    pub(crate) async fn nodes(client: &Client) -> Vec<String> {
        let nodes = Api::<Node>::all(client.clone()).list(&ListParams::default()).await.unwrap();
        sorted(nodes.items.into_iter().filter_map(|node| node.metadata.name).collect())
    }

    pub(crate) async fn create(client: &Client, namespace: &str, twin: &Twin) -> Self {
        let template = json!({
            "metadata": {
                "labels": {"app": NAME},
                "annotations": {TEMPLATE: "0", START_MS: NEVER_MS, DRAIN_MS: NEVER_MS},
            },
            "spec": {
                "schedulerName": "nobody",
                "terminationGracePeriodSeconds": 60,
                "containers": [{"name": "app", "image": "shop/app:1"}],
            },
        });
        let mut spec = json!({"selector": {"matchLabels": {"app": NAME}}, "template": template});
        let resource = match twin {
            Twin::StatefulSet(set) => {
                spec["replicas"] = json!(set.replicas);
                spec["serviceName"] = json!(NAME);
                spec["podManagementPolicy"] = json!(if set.parallel { "Parallel" } else { "OrderedReady" });
                spec["updateStrategy"] = written(Update::StatefulSet(set.update));
                ApiResource::erase::<StatefulSet>(&())
            }
            Twin::DaemonSet(set, _) => {
                spec["updateStrategy"] = written(Update::DaemonSet(set.update));
                ApiResource::erase::<DaemonSet>(&())
            }
        };
        let objects = Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &resource);
        let object = DynamicObject::new(NAME, &resource).data(json!({"spec": spec}));
        objects.create(&PostParams::default(), &object).await.unwrap();
        let pods = Api::namespaced(client.clone(), namespace);
        Self { objects, pods, nodes: Self::nodes(client).await, touches: 0 }
    }

    /// Does a step, of which the pods of the last rest say whom it is about.
    pub(crate) async fn perform(&self, step: Step, pods: &[Seen]) {
        match step {
            // A DaemonSet has no replicas; nothing happens to it.
            Step::Scale(_) if self.is_daemon_set() => {}
            Step::Scale(replicas) => self.patch(&json!({"replicas": replicas})).await,
            Step::RollOut(template) => {
                let annotations = json!({TEMPLATE: template.to_string()});
                self.patch(&json!({"template": {"metadata": {"annotations": annotations}}})).await;
            }
            Step::Reform(update) => self.patch(&json!({"updateStrategy": written(update)})).await,
            Step::Release => {
                for pod in self.pods.list(&ListParams::default()).await.unwrap() {
                    if class(&pod) == Class::Leaving {
                        let now = DeleteParams::default().grace_period(0);
                        self.pods.delete(&name(&pod), &now).await.unwrap();
                    }
                }
            }
            Step::Ready(_) | Step::Fail(_) | Step::Delete(_) => {
                let Some((pod, _)) = target(step, pods) else { return };
                let all = self.pods.list(&ListParams::default()).await.unwrap();
                let real = all.items.iter().find(|it| self.seen(it) == pod).unwrap();
                self.strike(step, pod, real).await;
            }
        }
    }

    async fn strike(&self, step: Step, seen: Seen, pod: &Pod) {
        if let Step::Delete(_) = step {
            self.pods.delete(&name(pod), &DeleteParams::default()).await.unwrap();
            return;
        }
        let ready = matches!(step, Step::Ready(_));
        if seen.class == Class::Waiting {
            let spot = if self.is_daemon_set() { usize::try_from(seen.spot).unwrap() } else { 0 };
            bind(&self.pods, pod, &self.nodes[spot]).await;
        }
        let condition = json!({"type": "Ready", "status": if ready { "True" } else { "False" }});
        let status = json!({"status": {"phase": "Running", "conditions": [condition]}});
        let patch = Patch::Strategic(status);
        self.pods.patch_status(&name(pod), &PatchParams::default(), &patch).await.unwrap();
    }

    async fn patch(&self, spec: &Value) {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.objects.patch(NAME, &PatchParams::default(), &patch).await.unwrap();
    }

    fn is_daemon_set(&self) -> bool {
        self.objects.resource_url().contains("daemonsets")
    }

    /// Waits until nothing moves: two passes that began after the last change have changed nothing. (The first may not
    /// have seen yet what became of a pod.)
    pub(crate) async fn come_to_rest(&mut self) -> Vec<Seen> {
        let (mut before, mut same) = (self.calm().await, 0);
        while same < 2 {
            self.touches += 1;
            self.patch(&json!({"revisionHistoryLimit": 10 + self.touches})).await;
            let after = self.calm().await;
            same = if before == after { same + 1 } else { 0 };
            before = after;
        }
        before
    }

    /// The pods, once the controller has seen the newest spec and counts the pods that there are.
    async fn calm(&self) -> Vec<Seen> {
        eventually(SOON, "the controller has seen everything", async || {
            let object = self.objects.get(NAME).await.map_err(|error| error.to_string())?;
            let status = &object.data["status"];
            if status["observedGeneration"].as_i64() != object.metadata.generation {
                return Err("the newest spec is not observed".to_owned());
            }
            let pods = self.pods.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
            let pods = sorted(pods.items.iter().map(|pod| self.seen(pod)).collect());
            let (field, truth) = if self.is_daemon_set() {
                let spots: BTreeSet<u32> = pods.iter().map(|pod| pod.spot).collect();
                ("currentNumberScheduled", spots.len())
            } else {
                ("replicas", pods.len())
            };
            let told = status[field].as_u64().unwrap_or(0);
            if told == truth as u64 { Ok(pods) } else { Err(format!("it counts {told} of {pods:?}")) }
        })
        .await
    }

    fn seen(&self, pod: &Pod) -> Seen {
        let spot = if self.is_daemon_set() { self.node_of(pod) } else { ordinal(pod) };
        Seen { spot, template: template_of(pod), class: class(pod) }
    }

    fn node_of(&self, pod: &Pod) -> u32 {
        let affinity = json!(pod.spec.as_ref().unwrap().affinity);
        let terms = "/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0";
        let name = affinity.pointer(&format!("{terms}/matchFields/0/values/0")).and_then(Value::as_str);
        let place = self.nodes.iter().position(|node| Some(node.as_str()) == name);
        u32::try_from(place.unwrap()).unwrap()
    }

    /// Takes the object and its pods away: a DaemonSet would go on to greet every node that others make.
    pub(crate) async fn end(&self) {
        self.objects.delete(NAME, &DeleteParams::default()).await.unwrap();
        let now = DeleteParams::default().grace_period(0);
        self.pods.delete_collection(&now, &ListParams::default()).await.unwrap();
    }
}

fn ordinal(pod: &Pod) -> u32 {
    name(pod).rsplit('-').next().unwrap().parse().unwrap()
}

fn written(update: Update) -> Value {
    match update {
        Update::StatefulSet(stateful_set::Update::OnDelete)
        | Update::DaemonSet(daemon_set::Update::OnDelete) => {
            json!({"type": "OnDelete", "rollingUpdate": null})
        }
        Update::StatefulSet(stateful_set::Update::Rolling { partition, .. }) => {
            json!({"type": "RollingUpdate", "rollingUpdate": {"partition": partition}})
        }
        Update::DaemonSet(daemon_set::Update::Rolling { max_surge, max_unavailable }) => json!({
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": max_surge.written(), "maxUnavailable": max_unavailable.written()},
        }),
    }
}
