//! The whole command on an API server behind a mocked connection.
//!
//! In: a cluster with Roles, a Secret and a pod of the operator, and what is refused. Out: what the cluster has
//! afterwards, and what the user is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use clap::Parser;
use http::{Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};
use tower_test::mock::pair;

use super::*;
use crate::commands::Cli;

const ROLE: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/roles/poolbudget-secret-db";
const BINDING: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings/poolbudget-secret-db";
const SECRET: &str = "/api/v1/namespaces/shop/secrets/db";
const PODS: &str = "/api/v1/namespaces/poolbudget-system/pods";

/// Objects by their path, and the code and message for requests that begin like this.
#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    refused: Vec<(&'static str, u16, &'static str)>,
    asked: Vec<String>,
    versions: u64,
}

/// A cluster.
#[derive(Clone, Default)]
struct World(Arc<Mutex<State>>);

impl World {
    /// A Secret and the chart's operator.
    fn new() -> Self {
        let world = Self::default();
        world.put(SECRET, json!({"metadata": {"name": "db"}, "data": {"dsn": "aHVudGVyMg=="}}));
        world.operator(Some("poolbudget"));
        world
    }

    fn put(&self, path: &str, object: Value) {
        self.0.lock().expect("no panic").objects.insert(path.to_owned(), object);
    }

    /// The pods of the operator: one with this ServiceAccount, or none.
    fn operator(&self, account: Option<&str>) {
        let pods: Vec<Value> = account
            .iter()
            .map(|name| json!({"metadata": {"name": "p"}, "spec": {"containers": [], "serviceAccountName": name}}))
            .collect();
        self.put(PODS, json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": pods}));
    }

    fn refuse(&self, begin: &'static str, code: u16, message: &'static str) {
        self.0.lock().expect("no panic").refused.push((begin, code, message));
    }

    fn at(&self, path: &str) -> Option<Value> {
        self.0.lock().expect("no panic").objects.get(path).cloned()
    }

    fn remove(&self, path: &str) {
        self.0.lock().expect("no panic").objects.remove(path);
    }

    /// The requests that were not reads.
    fn writes(&self) -> Vec<String> {
        let state = self.0.lock().expect("no panic");
        state.asked.iter().filter(|line| !line.starts_with("GET")).cloned().collect()
    }

    fn client(&self) -> Client {
        let (service, mut server) = pair::<Request<Body>, Response<Body>>();
        let world = self.clone();
        tokio::spawn(async move {
            while let Some((request, send)) = server.next_request().await {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.expect("a body").to_bytes();
                let body = serde_json::from_slice(&body).unwrap_or_default();
                let metadata_only = parts
                    .headers
                    .get("accept")
                    .is_some_and(|accept| accept.to_str().expect("text").contains("PartialObjectMetadata"));
                let path = parts.uri.path();
                assert!(metadata_only || !path.contains("/secrets"), "the contents of {path} are asked for");
                let (code, answer) = world.answer(parts.method.as_str(), path, body);
                let body = Body::from(answer.to_string().into_bytes());
                send.send_response(Response::builder().status(code).body(body).expect("a response"));
            }
        });
        Client::new(service, "default")
    }

    fn answer(&self, method: &str, path: &str, mut body: Value) -> (u16, Value) {
        let mut state = self.0.lock().expect("no panic");
        let line = format!("{method} {path}");
        state.asked.push(line.clone());
        if let Some((_, code, message)) = state.refused.iter().find(|(begin, ..)| line.starts_with(begin)) {
            return (*code, refusal(*code, message));
        }
        state.versions += 1;
        body["metadata"]["resourceVersion"] = json!(state.versions.to_string());
        let stored = state.objects.get(path).cloned();
        match (method, stored) {
            ("POST", _) => {
                let path = format!("{path}/{}", body["metadata"]["name"].as_str().expect("a name"));
                state.objects.insert(path, body.clone());
                (201, body)
            }
            (_, None) => (404, refusal(404, "not found")),
            ("PUT", Some(_)) => {
                state.objects.insert(path.to_owned(), body.clone());
                (200, body)
            }
            ("DELETE", Some(stored)) => {
                let version = &body["preconditions"]["resourceVersion"];
                assert_eq!(version, &stored["metadata"]["resourceVersion"], "it removes what it saw");
                state.objects.remove(path);
                (200, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}))
            }
            (_, Some(stored)) => (200, stored),
        }
    }

    /// Runs `poolbudget grant-secret` with these words, in namespace `shop`.
    async fn run(&self, words: &[&str]) -> Result<String, String> {
        #[derive(Parser)]
        struct Line {
            #[command(flatten)]
            args: GrantSecretArgs,
        }
        let words = ["grant-secret"].iter().chain(words);
        let args = Line::try_parse_from(words).map_err(|error| error.to_string())?.args;
        let connection = Connection { client: self.client(), namespace: "shop".to_owned() };
        let done = async {
            args.check()?;
            args.carry_out(connection).await
        };
        done.await.map_err(|error| format!("{error:#}"))
    }
}

fn refusal(code: u16, message: &str) -> Value {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        _ => "Conflict",
    };
    json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message})
}

const GRANTED: &str =
    "ServiceAccount poolbudget-system/poolbudget may get Secret shop/db, by Role and RoleBinding \
    poolbudget-secret-db; the same with kubectl:
  kubectl create role poolbudget-secret-db --verb=get --resource=secrets --resource-name=db -n shop
  kubectl create rolebinding poolbudget-secret-db --role=poolbudget-secret-db \
    --serviceaccount=poolbudget-system:poolbudget -n shop
";

#[tokio::test]
async fn the_operator_gets_the_one_secret_and_a_second_time_changes_nothing() {
    let world = World::new();
    assert_eq!(world.run(&["db"]).await.as_deref(), Ok(GRANTED));
    let role = world.at(ROLE).expect("a Role");
    let rule =
        json!([{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["db"], "verbs": ["get"]}]);
    assert_eq!(role["rules"], rule);
    assert_eq!(role["metadata"]["labels"]["app.kubernetes.io/managed-by"], "poolbudget");
    let binding = world.at(BINDING).expect("a RoleBinding");
    let subject = json!([{"kind": "ServiceAccount", "name": "poolbudget", "namespace": "poolbudget-system"}]);
    assert_eq!(binding["subjects"], subject);
    assert_eq!(binding["roleRef"]["name"], "poolbudget-secret-db");
    assert_eq!(world.writes().len(), 2);
    let again = GRANTED.replace(" may get ", " may already get ");
    assert_eq!(world.run(&["db"]).await, Ok(again));
    assert_eq!(world.writes().len(), 2);
}

#[tokio::test]
async fn the_account_is_that_of_the_operators_pods_or_the_one_that_is_named() {
    let world = World::new();
    world.operator(Some("pb"));
    let told = world.run(&["db"]).await.expect("granted");
    assert!(told.starts_with("ServiceAccount poolbudget-system/pb may get"), "{told}");
    // Another account replaces it, and the metadata of others stays.
    let mut binding = world.at(BINDING).expect("a RoleBinding");
    binding["metadata"]["annotations"] = json!({"note": "kept"});
    world.put(BINDING, binding);
    let told = world.run(&["db", "--service-account", "other", "--operator-namespace", "ops"]).await;
    assert!(told.as_ref().is_ok_and(|told| told.starts_with("ServiceAccount ops/other may get")), "{told:?}");
    let binding = world.at(BINDING).expect("a RoleBinding");
    assert_eq!(binding["subjects"][0]["name"], "other");
    assert_eq!(binding["metadata"]["annotations"]["note"], "kept");
}

#[tokio::test]
async fn where_the_pods_cannot_be_listed_it_is_the_charts_account_and_where_there_are_none_that_is_said() {
    let world = World::new();
    world.refuse("GET /api/v1/namespaces/poolbudget-system/pods", 403, "pods is forbidden");
    assert_eq!(world.run(&["db"]).await.as_deref(), Ok(GRANTED));
    let world = World::new();
    world.operator(None);
    let told = world.run(&["db"]).await.expect("granted");
    let note = "note: namespace poolbudget-system has no pod of the operator; if it is installed in another namespace, pass \
        that as --operator-namespace\n";
    assert_eq!(told, format!("{GRANTED}{note}"));
    let yaml = world.run(&["db", "--print"]).await.expect("YAML");
    assert!(yaml.starts_with("# namespace poolbudget-system has no pod of the operator; "), "{yaml}");
}

#[tokio::test]
async fn a_secret_that_does_not_exist_is_granted_with_a_note() {
    let world = World::new();
    world.remove(SECRET);
    let told = world.run(&["db"]).await.expect("granted");
    assert_eq!(told, format!("{GRANTED}note: there is no Secret db in namespace shop yet\n"));
    // Who may not look is told nothing.
    world.refuse("GET /api/v1/namespaces/shop/secrets", 403, "secrets is forbidden");
    let told = world.run(&["db"]).await.expect("granted");
    assert!(!told.contains("note"), "{told}");
}

#[tokio::test]
async fn printing_changes_nothing_and_asks_for_no_role() {
    for flag in ["--print", "--dry-run"] {
        let world = World::new();
        let yaml = world.run(&["db", flag]).await.expect("YAML");
        assert_eq!(yaml, Grant::new("db", "shop", "poolbudget-system", "poolbudget").yaml().expect("YAML"));
        assert_eq!(world.0.lock().expect("no panic").asked, [format!("GET {PODS}")]);
    }
}

#[tokio::test]
async fn an_object_of_somebody_else_is_kept_and_nothing_is_written() {
    for (path, kind, lower) in [(ROLE, "Role", "role"), (BINDING, "RoleBinding", "rolebinding")] {
        let world = World::new();
        world.run(&["db"]).await.expect("granted");
        let mut other = world.at(path).expect("an object");
        other["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "Helm"});
        // Of somebody else, but it grants the same.
        world.put(path, other.clone());
        assert!(world.run(&["db"]).await.is_ok_and(|told| told.contains("may already get")));
        other["rules"] = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
        other["subjects"] = json!([]);
        world.put(path, other.clone());
        let writes = world.writes();
        let told = world.run(&["db"]).await.expect_err("kept");
        let expected = format!(
            "the {kind} poolbudget-secret-db of namespace shop was not made by this command (it has no label \
             app.kubernetes.io/managed-by=poolbudget), and it grants something else; nothing was changed. See kubectl get \
             {lower} poolbudget-secret-db -n shop -o yaml, and if nobody needs it: kubectl delete {lower} \
             poolbudget-secret-db -n shop"
        );
        assert_eq!(told, expected);
        let told = world.run(&["db", "--revoke"]).await.expect_err("kept");
        assert!(told.contains(", so it is not removed; nothing was changed."), "{told}");
        assert_eq!((world.at(path), world.writes()), (Some(other), writes));
    }
}

#[tokio::test]
async fn what_is_taken_back_is_gone_and_a_second_time_says_so() {
    let world = World::new();
    world.run(&["db"]).await.expect("granted");
    let told = world.run(&["db", "--revoke"]).await;
    let expected = "the operator may no longer get Secret shop/db: removed Role and RoleBinding poolbudget-secret-db; the same \
        with kubectl:\n  kubectl delete rolebinding,role poolbudget-secret-db -n shop\n";
    assert_eq!(told.as_deref(), Ok(expected));
    assert_eq!((world.at(ROLE), world.at(BINDING)), (None, None));
    let ended: Vec<String> = world.writes().into_iter().filter(|line| line.starts_with("DELETE")).collect();
    assert_eq!(ended, [format!("DELETE {BINDING}"), format!("DELETE {ROLE}")]);
    let told = world.run(&["db", "--revoke"]).await;
    let expected = "nothing to take back: namespace shop has no Role or RoleBinding poolbudget-secret-db\n";
    assert_eq!(told.as_deref(), Ok(expected));
    // What is left after a failure half-way goes too.
    world.run(&["db"]).await.expect("granted");
    world.remove(BINDING);
    world.run(&["db", "--revoke"]).await.expect("taken back");
    assert_eq!(world.at(ROLE), None);
}

#[tokio::test]
async fn who_may_not_is_told_what_an_administrator_can_do_and_what_is_missing() {
    let role =
        "kubectl create role poolbudget-secret-db --verb=get --resource=secrets --resource-name=db -n shop";
    let binding = "kubectl create rolebinding poolbudget-secret-db --role=poolbudget-secret-db \
        --serviceaccount=poolbudget-system:poolbudget -n shop";
    let rbac = "RBAC asks for get on Secret db, or for the verbs escalate on roles and bind on roles";
    let all = [
        ("GET /apis/rbac", "cannot read the Role poolbudget-secret-db of namespace shop: no", true),
        ("POST /apis/rbac.authorization.k8s.io/v1/namespaces/shop/roles", "cannot write the Role", true),
        (
            "POST /apis/rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings",
            "cannot write the RoleBinding",
            false,
        ),
    ];
    for (begin, start, both) in all {
        let world = World::new();
        world.refuse(begin, 403, "no");
        let told = world.run(&["db"]).await.expect_err("refused");
        assert!(told.starts_with(start), "{told}");
        assert!(told.contains(&format!("\n  {binding}\n")) && told.contains(rbac), "{told}");
        // A Role that was made need not be made again.
        assert_eq!((told.contains(role), world.at(ROLE).is_none()), (both, both), "{told}");
    }
    let world = World::new();
    world.run(&["db"]).await.expect("granted");
    world.refuse("DELETE", 403, "no");
    let told = world.run(&["db", "--revoke"]).await.expect_err("refused");
    assert!(told.contains("\n  kubectl delete rolebinding,role poolbudget-secret-db -n shop\n"), "{told}");
}

#[tokio::test]
async fn who_is_outrun_is_told_to_try_again() {
    for begin in ["POST", "PUT"] {
        let world = World::new();
        if begin == "PUT" {
            world.run(&["db", "--service-account", "old"]).await.expect("granted");
        }
        world.refuse(begin, 409, "already exists");
        let told = world.run(&["db"]).await.expect_err("outrun");
        assert!(
            told.ends_with("somebody else has changed it at the same time; run the command again"),
            "{told}"
        );
    }
}

#[tokio::test]
async fn what_is_no_name_is_refused_before_any_request() {
    let long = "a".repeat(254);
    let all: [&[&str]; 6] = [
        &["DB"],
        &["../db"],
        &[&long],
        &["db", "--service-account", "a b"],
        &["db", "--operator-namespace", "a.b"],
        &["db", "--revoke", "--operator-namespace", "A"],
    ];
    for words in all {
        let world = World::new();
        let told = world.run(words).await.expect_err("no name");
        assert!(told.contains("cannot be the name of a "), "{told}");
        assert_eq!(world.0.lock().expect("no panic").asked, [""; 0], "{words:?}");
    }
    let told = World::new().run(&["db", "--print", "--revoke"]).await.expect_err("both");
    assert!(told.contains("cannot be used with"), "{told}");
}

#[test]
fn its_help_says_what_it_does_and_what_it_needs() {
    let words = ["poolbudget", "grant-secret", "--help"].map(Into::into).to_vec();
    let help = Cli::read(words).expect_err("help").to_string();
    // The flags of all commands show the environment.
    let (own, rest) = help.split_once("  -h, --help").expect("its own flags");
    let (_, examples) = rest.split_once("\nExamples:").expect("examples");
    insta::assert_snapshot!(format!("{own}Examples:{examples}"));
}
