//! What the operator's own accounts are kept from: every case of `tests/admission/confine.yaml`, as both of them, with the
//! rights of an administrator.

use kube::Client;
use serde::Deserialize;
use serde_json::{Value, json};
use testkit::admission::{Refusal, Verdict, refusal, table};
use testkit::eventually;
use testkit::install::SYSTEM;
use testkit::objects::replica_set;

use super::tables::make_guarded_pods;
use super::{SOON, account, installed};

const NAMESPACE: &str = "confined";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    on: String,
    patch: Option<Value>,
    create: Option<Value>,
    #[serde(default)]
    delete: bool,
    #[serde(default = "yes", rename = "try")]
    tried: bool,
    refused: Option<String>,
}

const fn yes() -> bool {
    true
}

impl Case {
    async fn ask(&self, client: &Client) -> Result<(), Refusal> {
        let group = match self.on.split('/').next() {
            Some("pods" | "secrets") => "/api/v1",
            _ => "/apis/apps/v1",
        };
        let dry_run = if self.tried { "?dryRun=All" } else { "" };
        let uri = format!("{group}/namespaces/{NAMESPACE}/{}{dry_run}", self.on);
        let (method, kind, body) = match (&self.patch, &self.create) {
            (Some(patch), None) => ("PATCH", "application/json-patch+json", patch.to_string()),
            (None, Some(object)) => ("POST", "application/json", self.typed(object).to_string()),
            _ => ("DELETE", "application/json", String::new()),
        };
        assert_eq!(method == "DELETE", self.delete, "{}", self.name);
        let request = http::Request::builder().method(method).uri(uri).header("content-type", kind);
        let request = request.body(body.into_bytes()).unwrap();
        client.request_text(request).await.map(|_| ()).map_err(refusal)
    }

    fn typed(&self, object: &Value) -> Value {
        let mut object = object.clone();
        object["apiVersion"] = json!("v1");
        object["kind"] = json!(if self.on == "pods" { "Pod" } else { "Secret" });
        object
    }
}

#[tokio::test]
async fn the_accounts_of_the_operator_write_what_it_ever_writes_and_nothing_else() {
    let cluster = installed().await;
    cluster.create_namespace(NAMESPACE).await.unwrap();
    let administrator = cluster.client().await.unwrap();
    let accounts = ["poolbudget", "poolbudget-release"];
    make_guarded_pods(&administrator, &account(cluster, accounts[0]).await, NAMESPACE).await;
    make_replica_set(&administrator).await;
    for name in accounts {
        let binding = format!("confined-{name}");
        let who = format!("--serviceaccount={SYSTEM}:{name}");
        let all = ["create", "clusterrolebinding", &binding, "--clusterrole=cluster-admin", &who];
        cluster.kubectl(&all).await.unwrap();
    }
    let mut verdict = Verdict::default();
    for name in accounts {
        let client = account(cluster, name).await;
        eventually(SOON, "it has the rights of an administrator", async || {
            let all = http::Request::get("/api/v1/namespaces").body(Vec::new()).unwrap();
            client.request_text(all).await.map_err(|error| error.to_string())
        })
        .await;
        for case in table::<Case>(include_str!("../../admission/confine.yaml")) {
            let expected = case.refused.clone().map(|sentence| Refusal { code: 403, sentence });
            let found = case.ask(&client).await.err();
            verdict.expect(&case.name, &format!("by {name}"), &found, &expected);
        }
        let gone = format!("confined-{name}");
        cluster.kubectl(&["delete", "clusterrolebinding", &gone]).await.unwrap();
    }
}

/// Nobody schedules its pods.
async fn make_replica_set(administrator: &Client) {
    let set = replica_set(NAMESPACE, "set").replicas(4).pod_spec("schedulerName", "nobody");
    let uri = format!("/apis/apps/v1/namespaces/{NAMESPACE}/replicasets");
    let request = http::Request::post(uri).header("content-type", "application/json");
    let request = request.body(set.to_string().into_bytes()).unwrap();
    administrator.request_text(request).await.unwrap();
}

/// Most of an admission policy is text that nobody compiles before an API server does.
#[tokio::test]
async fn the_api_server_finds_nothing_odd_in_the_types_of_any_policy() {
    let cluster = installed().await;
    let path = "jsonpath={range .items[*]}{.metadata.name}: {.status.typeChecking}{\"\\n\"}{end}";
    let found = eventually(SOON, "every policy was checked", async || {
        let text = cluster.kubectl(&["get", "validatingadmissionpolicies", "-o", path]).await;
        let text = text.map_err(|error| error.to_string())?;
        if text.lines().any(|line| line.ends_with("poolbudget.dev: ")) { Err(text) } else { Ok(text) }
    })
    .await;
    let ours = found.lines().filter(|line| line.contains("poolbudget.dev: "));
    let odd: Vec<&str> = ours.filter(|line| !line.ends_with(": {}")).collect();
    assert_eq!(odd, Vec::<&str>::new());
}
