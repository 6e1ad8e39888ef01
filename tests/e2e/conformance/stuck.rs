//! The way into the Deployment controller's flaw that needs an instant: a policy holds the instant.

use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use testkit::eventually;

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};

use super::real::Stage;
use super::recording::Rest;
use super::script::{Script, Step, pods, roll_out, scale};
use crate::world::{SHARED, SOON};

const NAMESPACE: &str = "instant";
/// Of the policy and its binding.
const NAME: &str = "no-set-grows.test.poolbudget.dev";

fn from_json<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// From now on no ReplicaSet of the namespace grows.
async fn forbid_growth(client: &Client, stage: &Stage) {
    let rule = json!({
        "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["replicasets"],
    });
    let own = json!({"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}});
    let policy: ValidatingAdmissionPolicy = from_json(json!({
        "metadata": {"name": NAME},
        "spec": {
            "matchConstraints": {"resourceRules": [rule], "namespaceSelector": own},
            "validations": [{"expression": "object.spec.replicas <= oldObject.spec.replicas"}],
        },
    }));
    let binding: ValidatingAdmissionPolicyBinding = from_json(json!({
        "metadata": {"name": NAME},
        "spec": {"policyName": NAME, "validationActions": ["Deny"]},
    }));
    Api::all(client.clone()).create(&PostParams::default(), &policy).await.unwrap();
    Api::all(client.clone()).create(&PostParams::default(), &binding).await.unwrap();
    until_growth_is(false, stage).await;
}

async fn allow_growth(client: &Client, stage: &Stage) {
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(client.clone());
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(client.clone());
    bindings.delete(NAME, &DeleteParams::default()).await.unwrap();
    policies.delete(NAME, &DeleteParams::default()).await.unwrap();
    until_growth_is(true, stage).await;
}

/// The API server takes a policy up, and drops it, a little after it was written.
async fn until_growth_is(allowed: bool, stage: &Stage) {
    let grown = Patch::Merge(json!({"spec": {"replicas": 9}}));
    let tried = PatchParams { dry_run: true, ..PatchParams::default() };
    eventually(SOON, &format!("that a set may grow is {allowed}"), async || {
        let name = stage.look().await.sets[0].born.1.clone();
        let answer = stage.sets.patch(&name, &tried, &grown).await;
        if answer.is_ok() == allowed { Ok(()) } else { Err(format!("{:?}", answer.err())) }
    })
    .await;
}

fn sizes(rest: &Rest) -> Vec<(u32, i64)> {
    let mut sizes: Vec<_> = rest.sets.iter().map(|set| (set.template, set.spec.replicas)).collect();
    sizes.sort_unstable();
    sizes
}

/// That the model is stuck then, too, is among the tests of the model alone.
#[tokio::test]
async fn a_scaling_to_what_a_rollout_without_surge_has_just_left_stops_the_real_controller_as_well() {
    let cluster = SHARED.cluster().await.unwrap();
    let client = cluster.client().await.unwrap();
    cluster.create_namespace(NAMESPACE).await.unwrap();
    let mut stage = Stage::open(&client, NAMESPACE);
    let script = Script { name: NAMESPACE.to_owned(), replicas: 3, strategy: pods(0, 1), steps: Vec::new() };
    stage.create(&script).await;
    stage.come_to_rest(None).await;
    stage.perform(&Step::Ready(0, 3), 0).await;
    stage.come_to_rest(None).await;

    forbid_growth(&client, &stage).await;
    stage.perform(&roll_out(1), 1).await;
    eventually(SOON, "the old set has given a pod and the new one has none", async || {
        let sizes = sizes(&stage.look().await);
        if sizes == [(0, 2), (1, 0)] { Ok(()) } else { Err(format!("{sizes:?}")) }
    })
    .await;
    stage.perform(&scale(2), 1).await;
    // The controller has seen the scaling while nothing could grow.
    stage.come_to_rest(None).await;
    allow_growth(&client, &stage).await;
    assert_eq!(sizes(&stage.come_to_rest(None).await.rest), [(0, 2), (1, 0)]);

    stage.perform(&scale(3), 1).await;
    assert_eq!(sizes(&stage.come_to_rest(None).await.rest), [(0, 2), (1, 1)], "any other scaling frees it");
}
