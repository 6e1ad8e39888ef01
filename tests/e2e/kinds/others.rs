//! Others who have a say in pods: their scheduling gates, their injectors.

use serde_json::{Value, json};
use testkit::eventually;
use testkit::objects::{budget, deployment, job};

use super::governed;
use super::tasks::done;
use crate::installed::{Installed, SETTLES, SHOP};

#[tokio::test]
async fn a_job_that_another_gate_holds_lets_the_next_one_run_and_runs_when_that_gate_goes() {
    let shop = Installed::start().await;
    shop.recorder.limit(SHOP, "main", 4);
    let of = |name| json!({"kind": "Job", "name": name, "connectionsPerProcess": {"min": 4}});
    let spec = json!({"limit": {"connections": 5}, "reserved": 1, "workloads": [of("queued"), of("ready")]});
    shop.apply(&budget(SHOP, "main", &spec)).await;
    shop.apply(&governed(job(SHOP, "queued")).gate("kueue.x-k8s.io/admission").to_string()).await;
    let why = shop.awaits("Settled", "False", "OtherGate").await;
    assert_eq!(why, "1 pod waits: another scheduling gate, kueue.x-k8s.io/admission, holds it");
    shop.apply(&governed(job(SHOP, "ready")).to_string()).await;
    done(&shop, "job/ready", SETTLES).await;
    let pod = shop.kubectl(&["get", "pods", "-l", "job-name=queued", "-o", "name"]).await;
    let opened = r#"[{"op": "test", "path": "/spec/schedulingGates/0/name", "value": "kueue.x-k8s.io/admission"},
        {"op": "remove", "path": "/spec/schedulingGates/0"}]"#;
    shop.kubectl(&["patch", pod.trim(), "--type=json", "-p", opened]).await;
    done(&shop, "job/queued", SETTLES).await;
    shop.recorder.assert_never_over().await;
    assert_eq!(shop.recorder.faults(), Vec::<String>::new());
}

/// What puts a proxy before the containers of pods with its label, before the gate sees them.
const MESH: &str = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: aa-mesh}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  matchConditions:
  - name: meshed
    expression: >-
      object.metadata.?labels[?'sidecar.istio.io/inject'].orValue('') == 'true'
      && !object.spec.containers.exists(c, c.name == 'istio-proxy')
  failurePolicy: Fail
  reinvocationPolicy: IfNeeded
  mutations:
  - patchType: JSONPatch
    jsonPatch:
      expression: >-
        [JSONPatch{op: 'add', path: '/spec/containers/0',
        value: Object.spec.containers{name: 'istio-proxy', image: 'proxy:1'}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: aa-mesh}
spec: {policyName: aa-mesh}
"#;

#[tokio::test]
async fn pods_with_a_proxy_before_their_app_stay_within_the_limit_with_the_sizes_that_the_app_reads() {
    let shop = Installed::start().await;
    shop.apply(MESH).await;
    let meshed = |name: &str| governed(deployment(SHOP, name)).pod_label("sidecar.istio.io/inject", "true");
    eventually(SETTLES, "the proxy is injected", async || {
        let tried = meshed("tried").replicas(1).to_string();
        shop.cluster.apply(&tried).await.map_err(|error| format!("{error:#}"))?;
        let first = "jsonpath={.items[*].spec.containers[0].name}";
        let first = shop.try_kubectl(&["get", "pods", "-l", "app=tried", "-o", first]).await?;
        shop.try_kubectl(&["delete", "deployment", "tried", "--cascade=foreground"]).await?;
        if first == "istio-proxy" { Ok(()) } else { Err(first) }
    })
    .await;
    shop.apply(&budget(SHOP, "main", &json!({"limit": {"connections": 13}, "reserved": 1}))).await;
    shop.apply(&meshed("api").replicas(3).to_string()).await;
    shop.complete("api", 3).await;
    let pods: Value =
        serde_json::from_str(&shop.kubectl(&["get", "pods", "-l", "app=api", "-o", "json"]).await).unwrap();
    let pods = pods["items"].as_array().unwrap();
    let mut sum = 0;
    for pod in pods {
        let [proxy, app] = [0, 1].map(|place| &pod["spec"]["containers"][place]);
        assert_eq!((proxy["name"].as_str(), proxy["env"].as_array()), (Some("istio-proxy"), None));
        let read = |entry: usize| app["env"][entry]["valueFrom"]["fieldRef"]["fieldPath"].as_str();
        assert_eq!(read(0), Some("metadata.annotations['poolbudget.dev/pool-size']"));
        assert_eq!(read(1), Some("metadata.annotations['poolbudget.dev/max-overflow']"));
        let note = |key: &str| -> u32 {
            let text = &pod["metadata"]["annotations"][format!("poolbudget.dev/{key}")];
            text.as_str().unwrap().parse().unwrap()
        };
        sum += note("pool-size") + note("max-overflow");
    }
    assert!(pods.len() == 3 && (3..=12).contains(&sum), "{sum}");
}
