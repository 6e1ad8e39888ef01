//! A script on the real controllers.
//!
//! In: a script and a cluster. Out: its [`Recording`]. Every script has a namespace, a Deployment and a watch of
//! its own, so many can run at once. The test is scheduler and kubelet itself: the pods name a scheduler that
//! does not exist, and those that it binds are too slow for the fake kubelets to touch them.
//! Forbidden here: the model. When the real controllers rest is seen from them alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::TryStreamExt as _;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use kube_runtime::watcher::{self, Event, watcher};
use serde_json::{Value, json};
use testkit::model::deployment::Strategy;
use testkit::objects::{DRAIN_MS, START_MS};
use testkit::{Cluster, eventually};
use tokio::task::AbortHandle;

use super::recording::{Act, DESIRED, Recording, Rest, Seen, TEMPLATE, class, template_of};
use super::script::{Class, Edit, Script, Step};
use crate::world::SOON;

const NAME: &str = "app";
/// Eleven days: the fake kubelets never come to it.
const NEVER_MS: &str = "1000000000";

/// Between two attempts to reach an API server that is away.
const PAUSE: Duration = Duration::from_millis(200);

/// Runs a script and records it.
pub(crate) async fn record(cluster: &Cluster, namespace: &str, script: Script) -> Recording {
    let client = cluster.client().await.unwrap();
    cluster.create_namespace(namespace).await.unwrap();
    let mut stage = Stage::open(&client, namespace);
    stage.create(&script).await;
    let mut acts = vec![stage.come_to_rest(None).await];
    let mut newest = 0;
    for step in &script.steps {
        if let Step::Edit(Edit { template: Some(template), .. }) = step {
            newest = *template;
        }
        if let Some(done) = stage.perform(step, newest).await {
            acts.push(stage.come_to_rest(Some(done)).await);
        }
    }
    Recording { script, acts }
}

/// A namespace with one Deployment, its pods, and what was seen of its sets.
pub(crate) struct Stage {
    deployments: Api<Deployment>,
    pub(crate) sets: Api<ReplicaSet>,
    pub(crate) pods: Api<Pod>,
    versions: Arc<Mutex<Vec<Seen>>>,
    watch: AbortHandle,
    /// How many of the versions belong to steps that are over.
    told: usize,
    touches: u32,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

impl Stage {
    pub(crate) fn open(client: &Client, namespace: &str) -> Self {
        let sets: Api<ReplicaSet> = Api::namespaced(client.clone(), namespace);
        let versions = Arc::<Mutex<Vec<Seen>>>::default();
        let (watched, into) = (sets.clone(), Arc::clone(&versions));
        let watch = async move {
            let mut events = std::pin::pin!(watcher(watched, watcher::Config::default()));
            loop {
                match events.try_next().await {
                    Ok(Some(Event::Apply(set) | Event::InitApply(set))) => {
                        into.lock().unwrap().push(Seen::of(&set));
                    }
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    // It takes up where it was.
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
            }
        };
        Self {
            deployments: Api::namespaced(client.clone(), namespace),
            sets,
            pods: Api::namespaced(client.clone(), namespace),
            versions,
            watch: tokio::spawn(watch).abort_handle(),
            told: 0,
            touches: 0,
        }
    }

    pub(crate) async fn create(&self, script: &Script) {
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
        let deployment = json!({
            "metadata": {"name": NAME},
            "spec": {
                "replicas": script.replicas,
                "strategy": strategy(script.strategy),
                "selector": {"matchLabels": {"app": NAME}},
                "template": template,
            },
        });
        let deployment = serde_json::from_value(deployment).unwrap();
        self.deployments.create(&PostParams::default(), &deployment).await.unwrap();
    }

    /// Returns what was really done; None when there was nothing to act on.
    pub(crate) async fn perform(&self, step: &Step, newest: u32) -> Option<Step> {
        match step {
            Step::Edit(edit) => self.patch(&spec(edit)).await,
            Step::Ready(template, count) => {
                let mut pods = self.pods_of(*template, Class::Waiting).await;
                pods.extend(self.pods_of(*template, Class::Sick).await);
                let count = if *template == newest { *count } else { 1 };
                pods.truncate(usize::try_from(count).unwrap());
                for pod in &pods {
                    self.make_ready(pod).await;
                }
                let done = u32::try_from(pods.len()).unwrap();
                return (done > 0).then_some(Step::Ready(*template, done));
            }
            Step::Fail(template) => {
                let pod = self.pods_of(*template, Class::Ready).await.into_iter().next()?;
                self.write_status(&pod, false).await;
            }
            Step::Delete(template, class) => {
                let pod = self.pods_of(*template, *class).await.into_iter().next()?;
                self.pods.delete(&name(&pod), &DeleteParams::default()).await.unwrap();
            }
            Step::Release => {
                let pods = self.pods.list(&ListParams::default()).await.unwrap();
                let leaving = pods.items.iter().filter(|pod| class(pod) == Class::Leaving);
                for pod in leaving {
                    self.pods.delete(&name(pod), &DeleteParams::default().grace_period(0)).await.unwrap();
                }
            }
            Step::Resize(template, replicas) => {
                self.patch_set(*template, &json!({"spec": {"replicas": replicas}})).await;
            }
            Step::Note(template, desired) => {
                let annotations = json!({DESIRED: desired.to_string()});
                self.patch_set(*template, &json!({"metadata": {"annotations": annotations}})).await;
            }
        }
        Some(step.clone())
    }

    async fn patch(&self, spec: &Value) {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.deployments.patch(NAME, &PatchParams::default(), &patch).await.unwrap();
    }

    async fn patch_set(&self, template: u32, patch: &Value) {
        let sets = self.sets.list(&ListParams::default()).await.unwrap().items;
        let set = sets.iter().find(|set| Seen::of(set).template == template).unwrap();
        let name = set.metadata.name.as_deref().unwrap();
        self.sets.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    async fn pods_of(&self, template: u32, wanted: Class) -> Vec<Pod> {
        let mut pods = self.pods.list(&ListParams::default()).await.unwrap().items;
        pods.retain(|pod| template_of(pod) == template && class(pod) == wanted);
        pods
    }

    /// The pods that are not leaving.
    pub(crate) async fn active(&self) -> Vec<Pod> {
        let mut pods = self.pods.list(&ListParams::default()).await.unwrap().items;
        pods.retain(|pod| class(pod) != Class::Leaving);
        pods
    }

    async fn make_ready(&self, pod: &Pod) {
        if class(pod) == Class::Waiting {
            bind(&self.pods, pod, "node-0").await;
        }
        self.write_status(pod, true).await;
    }

    async fn write_status(&self, pod: &Pod, ready: bool) {
        let condition = json!({"type": "Ready", "status": if ready { "True" } else { "False" }});
        let status = json!({"phase": "Running", "conditions": [condition]});
        let patch = Patch::Strategic(json!({"status": status}));
        self.pods.patch_status(&name(pod), &PatchParams::default(), &patch).await.unwrap();
    }

    /// Waits until nothing moves: all that is reported is true, and a pass of the Deployment controller that began
    /// after that has written nothing.
    pub(crate) async fn come_to_rest(&mut self, step: Option<Step>) -> Act {
        let mut before = self.calm().await;
        let rest = loop {
            self.touches += 1;
            self.patch(&json!({"progressDeadlineSeconds": 600 + self.touches})).await;
            let after = self.calm().await;
            if before.sets == after.sets && before.pods == after.pods {
                break after;
            }
            before = after;
        };
        let versions = self.versions.lock().unwrap()[self.told..].to_vec();
        self.told += versions.len();
        Act { step, versions, rest }
    }

    async fn calm(&self) -> Rest {
        eventually(SOON, "all that is reported is true", async || {
            let deployment = self.deployments.get(NAME).await.map_err(|error| error.to_string())?;
            let status = deployment.status.unwrap_or_default();
            if status.observed_generation != deployment.metadata.generation {
                return Err("the Deployment is not observed".to_owned());
            }
            let rest = self.look().await;
            let watched = self.versions.lock().unwrap();
            let behind = |set: &&Seen| !is_true(set, &rest) || !watched.contains(set);
            match rest.sets.iter().find(behind) {
                Some(set) => Err(format!("{set:?} with {:?}", rest.pods.get(&set.template))),
                None => Ok(rest.clone()),
            }
        })
        .await
    }

    pub(crate) async fn look(&self) -> Rest {
        let sets = self.sets.list(&ListParams::default()).await.unwrap();
        let mut pods = BTreeMap::<u32, BTreeMap<Class, usize>>::new();
        for pod in self.pods.list(&ListParams::default()).await.unwrap() {
            *pods.entry(template_of(&pod)).or_default().entry(class(&pod)).or_default() += 1;
        }
        Rest { sets: sets.items.iter().map(Seen::of).collect(), pods }
    }
}

/// Whether a set has what it shall have, and says so.
fn is_true(set: &Seen, rest: &Rest) -> bool {
    let count = |class: Class| {
        let pods = rest.pods.get(&set.template).and_then(|count| count.get(&class));
        pods.map_or(0, |pods| i64::try_from(*pods).unwrap())
    };
    let (ready, leaving) = (count(Class::Ready), count(Class::Leaving));
    let all = count(Class::Waiting) + count(Class::Sick) + ready;
    let says = [set.spec.replicas, set.pods, set.ready, set.available, set.terminating];
    set.observed && says == [all, all, ready, ready, leaving]
}

/// What the scheduler does.
pub(crate) async fn bind(pods: &Api<Pod>, pod: &Pod, node: &str) {
    let target = json!({"apiVersion": "v1", "kind": "Node", "name": node});
    let binding = json!({"metadata": {"name": name(pod)}, "target": target});
    let _: Value =
        pods.create_subresource("binding", &name(pod), &PostParams::default(), &binding).await.unwrap();
}

pub(crate) fn name(pod: &Pod) -> String {
    pod.metadata.name.clone().unwrap()
}

fn spec(edit: &Edit) -> Value {
    let mut spec = json!({});
    if let Some(replicas) = edit.replicas {
        spec["replicas"] = json!(replicas);
    }
    if let Some(template) = edit.template {
        spec["template"] = json!({"metadata": {"annotations": {TEMPLATE: template.to_string()}}});
    }
    if let Some(of) = edit.strategy {
        spec["strategy"] = strategy(of);
    }
    if let Some(paused) = edit.paused {
        spec["paused"] = json!(paused);
    }
    spec
}

fn strategy(of: Strategy) -> Value {
    match of {
        Strategy::Recreate => json!({"type": "Recreate", "rollingUpdate": null}),
        Strategy::RollingUpdate { max_surge, max_unavailable } => json!({
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": max_surge.written(), "maxUnavailable": max_unavailable.written()},
        }),
    }
}
