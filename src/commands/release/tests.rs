//! The whole command on an API server behind a mocked connection, by the clock.
//!
//! In: a cluster with a leader's Lease and gated pods, and what goes wrong. Out: which requests arrived, and when.

use std::sync::{Arc, Mutex};

use http::{Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};
use tower_test::mock::{SendResponse, pair};

use super::*;

/// Fails the n-th request with this line.
type Script = fn(&str, usize) -> Option<u16>;

#[derive(Default)]
struct State {
    lease: Option<Value>,
    /// The names of the waiting pods.
    gated: Vec<String>,
    /// How many dry-run pods still get a gate.
    born_gated: usize,
    asked: Vec<(Instant, String)>,
}

#[derive(Clone)]
struct Server(Arc<Mutex<State>>);

impl Server {
    fn start(state: State, script: Script) -> (Self, Client) {
        let (service, mut handle) = pair::<Request<Body>, Response<Body>>();
        let server = Self(Arc::new(Mutex::new(state)));
        let serving = server.clone();
        tokio::spawn(async move {
            while let Some((request, send)) = handle.next_request().await {
                serving.serve(request, send, script).await;
            }
        });
        (server, Client::new(service, "default"))
    }

    async fn serve(&self, request: Request<Body>, send: SendResponse<Response<Body>>, script: Script) {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        let body = serde_json::from_slice(&body).unwrap_or_default();
        let line = format!("{} {}", parts.method, parts.uri.path());
        let mut state = self.0.lock().expect("the state");
        let times = state.asked.iter().filter(|(_, asked)| *asked == line).count();
        state.asked.push((Instant::now(), line.clone()));
        let (code, answer) = match script(&line, times) {
            Some(code) => (code, refusal(code)),
            None => state.answer(&line, body),
        };
        let body = Body::from(answer.to_string().into_bytes());
        send.send_response(Response::builder().status(code).body(body).expect("a response"));
    }

    fn asked(&self, part: &str) -> Vec<Instant> {
        let state = self.0.lock().expect("the state");
        state.asked.iter().filter(|(_, line)| line.contains(part)).map(|(at, _)| *at).collect()
    }

    /// Requests that change anything except the Lease and the dry-run pod.
    fn acts(&self) -> Vec<(Instant, String)> {
        let state = self.0.lock().expect("the state");
        let acts =
            state.asked.iter().filter(|(_, line)| !line.starts_with("GET") && !line.contains("leases"));
        acts.cloned().collect()
    }
}

impl State {
    fn answer(&mut self, line: &str, body: Value) -> (u16, Value) {
        let (method, path) = line.split_once(' ').expect("a line");
        let name = path.rsplit('/').next().expect("a name");
        match (method, path) {
            ("GET", path) if path.contains("/leases/") => match &self.lease {
                Some(lease) => (200, lease.clone()),
                None => (404, refusal(404)),
            },
            (_, path) if path.contains("/leases") => {
                self.lease = Some(body.clone());
                (200, body)
            }
            ("DELETE", path) if path.contains("policybindings") => {
                (200, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}))
            }
            ("POST", path) if path.ends_with("/pods") => {
                let gated = self.born_gated > 0;
                self.born_gated = self.born_gated.saturating_sub(1);
                (201, pod("probe", gated))
            }
            ("PATCH", _) => {
                self.gated.retain(|pod| pod != name);
                (200, pod(name, false))
            }
            ("GET", "/api/v1/pods") => {
                let pods = self.gated.iter().map(|name| pod(name, true)).chain([pod("runs", false)]);
                (200, list(&pods.collect::<Vec<_>>()))
            }
            ("GET", _) => (200, list(&[])),
            _ => (404, refusal(404)),
        }
    }
}

fn list(items: &[Value]) -> Value {
    json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "5"}, "items": items})
}

fn pod(name: &str, gated: bool) -> Value {
    let gates = if gated { json!([{"name": names::GATE}]) } else { json!([]) };
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "uid": name, "resourceVersion": "1",
            "labels": {"poolbudget.dev/budget": "main"}},
        "spec": {"containers": [{"name": "app"}], "schedulingGates": gates}})
}

fn refusal(code: u16) -> Value {
    let reason = match code {
        404 => "NotFound",
        403 => "Forbidden",
        _ => "",
    };
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
        "message": format!("refused with {code}")})
}

/// Two pods wait, a third one runs, and a replica leads.
fn waiting() -> State {
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "poolbudget", "namespace": "system", "resourceVersion": "7"},
        "spec": {"holderIdentity": "poolbudget-0", "leaseDurationSeconds": 15}});
    State { lease: Some(lease), gated: vec!["a".into(), "b".into()], born_gated: 2, ..State::default() }
}

async fn release_of(state: State, script: Script) -> (Server, anyhow::Result<()>) {
    let (server, client) = Server::start(state, script);
    let args = ReleaseArgs {
        namespace: "system".to_owned(),
        lease_name: "poolbudget".to_owned(),
        timeout_seconds: 240,
    };
    let done = Release::new(client, args).run().await;
    (server, done)
}

#[tokio::test(start_paused = true)]
async fn nothing_is_touched_before_the_leader_must_have_stopped_and_nobody_is_ended() {
    let begun = Instant::now();
    let (server, done) = release_of(waiting(), |_, _| None).await;
    done.expect("a release");
    let acts = server.acts();
    let first = acts.first().expect("acts").0 - begun;
    assert!((15..=20).contains(&first.as_secs()), "the first after {first:?}");
    let lines: Vec<&str> = acts.iter().map(|(_, line)| line.as_str()).collect();
    let admission = "/apis/admissionregistration.k8s.io/v1";
    assert_eq!(
        lines,
        [
            &format!("DELETE {admission}/validatingadmissionpolicybindings/guard-births.poolbudget.dev"),
            &format!("DELETE {admission}/mutatingadmissionpolicybindings/gate.poolbudget.dev"),
            &format!("DELETE {admission}/mutatingadmissionpolicybindings/mirror.poolbudget.dev"),
            &format!("DELETE {admission}/mutatingwebhookconfigurations/poolbudget.dev"),
            "POST /api/v1/namespaces/system/pods",
            "POST /api/v1/namespaces/system/pods",
            "POST /api/v1/namespaces/system/pods",
            "PATCH /api/v1/namespaces/shop/pods/a",
            "PATCH /api/v1/namespaces/shop/pods/b",
        ]
    );
    let lease = server.0.lock().expect("the state").lease.clone().expect("a lease");
    assert_eq!(lease["spec"]["holderIdentity"], "release", "it is not given back");
}

#[tokio::test(start_paused = true)]
async fn where_the_operator_has_never_run_it_does_not_wait_long() {
    let begun = Instant::now();
    let (_, done) = release_of(State { gated: vec!["a".into()], ..State::default() }, |_, _| None).await;
    done.expect("a release");
    assert!(begun.elapsed().as_secs() <= 20, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_fails_for_a_while_is_tried_again_and_the_lease_is_kept_meanwhile() {
    let scripts: [Script; 4] = [
        |line, times| (line.contains("mirror") && times < 8).then_some(500),
        |line, times| (line.ends_with("system/pods") && times < 8).then_some(503),
        |line, times| (line.starts_with("PATCH") && times < 30).then_some(500),
        |line, times| (line == "GET /api/v1/pods" && times < 8).then_some(429),
    ];
    for script in scripts {
        let (server, done) = release_of(waiting(), script).await;
        done.expect("a release");
        assert!(server.0.lock().expect("the state").gated.is_empty());
        let renewed = server.asked("PUT");
        let silent = renewed.windows(2).map(|pair| pair[1] - pair[0]).max().expect("renewals");
        assert!(silent <= Duration::from_secs(3), "not renewed for {silent:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_forbidden_ends_it_at_once_with_what_was_attempted() {
    let (server, done) =
        release_of(waiting(), |line, _| line.contains("gate.poolbudget").then_some(403)).await;
    let error = format!("{:#}", done.expect_err("a refusal"));
    assert!(
        error.contains("cannot delete the MutatingAdmissionPolicyBinding gate.poolbudget.dev"),
        "{error}"
    );
    assert_eq!(server.asked("PATCH").len(), 0);
}

#[tokio::test(start_paused = true)]
async fn while_the_lease_cannot_be_taken_nothing_is_done_and_the_end_says_so() {
    let (server, done) = release_of(waiting(), |line, _| line.contains("/leases").then_some(403)).await;
    let error = done.expect_err("no Lease").to_string();
    assert!(error.starts_with("cannot take the Lease system/poolbudget"), "{error}");
    assert_eq!(server.acts(), []);
}
