//! The gateway to the real API server, over a mocked connection: what it sends, and what it makes of answers.

use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::client::Body;
use kube::runtime::events::{Event, EventType};
use poolbudget::api::BudgetKey;
use poolbudget::api::DbConnectionBudget;
use poolbudget::cluster::pod::{PodRecord, PodView};
use poolbudget::controller::events::{about_pod, event};
use poolbudget::controller::gateway::{Gateway, GatewayError, KubeGateway, Sizes};
use poolbudget::controller::lease::Leadership;
use poolbudget::telemetry::metrics::Metrics;
use serde_json::{Value, json};
use testkit::answer::disruption;
use testkit::objects::{budget_object, governed_pod, stored};
use tower_test::mock::{Handle, pair};

type Server = Handle<Request<Body>, Response<Body>>;

const SIZES: Sizes = Sizes { pool_size: 2, max_overflow: 3, connections: 5 };

fn gateway(leadership: Leadership) -> (KubeGateway, Server) {
    let (service, server) = pair::<Request<Body>, Response<Body>>();
    let client = Client::new(service, "default");
    (KubeGateway::new(client, leadership, "one", Metrics::default()), server)
}

fn leading() -> (KubeGateway, Server) {
    gateway(Leadership::unconditional())
}

fn pod_json() -> Value {
    stored(governed_pod("shop", "p", "main").json(), "u-1", 7)
}

fn pod() -> PodRecord {
    let view: PodView = serde_json::from_value(pod_json()).expect("a pod");
    PodRecord::read(&view).expect("a record")
}

fn budget() -> DbConnectionBudget {
    let budget = budget_object("shop", "main", &json!({"limit": {"connections": 15}}));
    serde_json::from_value(stored(budget, "b-1", 9)).expect("a budget")
}

/// A request as it was sent: method, path with query, content type, body.
struct Sent {
    line: String,
    content: String,
    body: Value,
}

/// Answers the next request.
async fn answer(server: &mut Server, code: u16, body: Value) -> Sent {
    let (request, send) = server.next_request().await.expect("a request");
    let (parts, sent) = request.into_parts();
    let bytes = sent.collect().await.expect("a body").to_bytes();
    let response = Response::builder().status(code).body(Body::from(body.to_string().into_bytes()));
    send.send_response(response.expect("a response"));
    Sent {
        line: format!("{} {}", parts.method, parts.uri),
        content: parts.headers.get("content-type").map_or("", |kind| kind.to_str().expect("text")).to_owned(),
        body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    }
}

fn failure(code: u16, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message,
        "reason": if code == 404 { "NotFound" } else { "" }})
}

#[tokio::test]
async fn every_code_has_its_meaning() {
    let meanings = [
        (404, "outdated"),
        (409, "outdated"),
        (410, "outdated"),
        (422, "outdated"),
        (403, "forbidden"),
        (429, "api"),
        (500, "api"),
        (503, "api"),
    ];
    for (code, meaning) in meanings {
        let (gateway, mut server) = leading();
        let pod = pod();
        let (outcome, _) =
            tokio::join!(gateway.grant(&pod, SIZES), answer(&mut server, code, failure(code, "no")));
        let error = outcome.expect_err("a failure");
        assert_eq!(error.class(), meaning, "{code}");
        assert!(error.to_string().starts_with("grant 5 connections to pod shop/p: "), "{error}");
    }
}

#[tokio::test]
async fn what_does_not_exist_is_read_as_none() {
    let (gateway, mut server) = leading();
    let gone = failure(404, "not found");
    let (outcome, _) = tokio::join!(gateway.pod("shop", "p"), answer(&mut server, 404, gone.clone()));
    assert!(outcome.expect("an answer").is_none());
    let key = BudgetKey::new("shop", "main");
    let (outcome, _) = tokio::join!(gateway.budget(&key), answer(&mut server, 404, gone.clone()));
    assert!(outcome.expect("an answer").is_none());
}

#[tokio::test]
async fn an_eviction_is_for_this_very_pod() {
    let (gateway, mut server) = leading();
    let done = json!({"kind": "Status", "apiVersion": "v1", "status": "Success", "code": 201});
    let pod = pod();
    let (outcome, sent) = tokio::join!(gateway.evict(&pod), answer(&mut server, 201, done));
    outcome.expect("evicted");
    assert_eq!(sent.line, "POST /api/v1/namespaces/shop/pods/p/eviction?");
    assert_eq!(sent.body["deleteOptions"], json!({"preconditions": {"uid": "u-1"}}));
    assert_eq!(sent.body["metadata"], json!({"name": "p", "namespace": "shop"}));
}

#[tokio::test]
async fn a_refused_eviction_names_the_disruption_budget() {
    let refusal = json!(disruption("calm", 2, 2));
    let several = failure(
        500,
        "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
    );
    let answers =
        [(429, &refusal, "PodDisruptionBudget calm"), (500, &several, "more than one PodDisruptionBudget")];
    for (code, body, by) in answers {
        let (gateway, mut server) = leading();
        let pod = pod();
        let (outcome, _) = tokio::join!(gateway.evict(&pod), answer(&mut server, code, body.clone()));
        let Err(GatewayError::Disruption { budget, .. }) = outcome else { panic!("{code}: {outcome:?}") };
        assert_eq!(budget, by);
    }
}

#[tokio::test]
async fn a_server_that_is_too_busy_is_no_disruption_budget() {
    let (gateway, mut server) = leading();
    let pod = pod();
    let (outcome, _) =
        tokio::join!(gateway.evict(&pod), answer(&mut server, 429, failure(429, "too many requests")));
    assert_eq!(outcome.expect_err("a failure").class(), "api");
}

#[tokio::test]
async fn a_deletion_is_for_this_very_pod() {
    let (gateway, mut server) = leading();
    let pod = pod();
    let (outcome, sent) = tokio::join!(gateway.delete(&pod), answer(&mut server, 200, pod_json()));
    outcome.expect("deleted");
    assert_eq!(sent.line, "DELETE /api/v1/namespaces/shop/pods/p?");
    assert_eq!(sent.body["preconditions"], json!({"uid": "u-1"}));
}

#[tokio::test]
async fn a_grant_is_one_json_patch() {
    let (gateway, mut server) = leading();
    let pod = pod();
    let (outcome, sent) = tokio::join!(gateway.grant(&pod, SIZES), answer(&mut server, 200, pod_json()));
    outcome.expect("granted");
    assert_eq!(sent.line, "PATCH /api/v1/namespaces/shop/pods/p?");
    assert_eq!(sent.content, "application/json-patch+json");
    assert_eq!(sent.body[1], json!({"op": "test", "path": "/metadata/annotations", "value": null}));
}

#[tokio::test]
async fn a_status_is_replaced_at_the_version_that_was_read() {
    let (gateway, mut server) = leading();
    let budget = budget();
    let body = serde_json::to_value(&budget).expect("json");
    let (outcome, sent) = tokio::join!(gateway.replace_status(&budget), answer(&mut server, 200, body));
    outcome.expect("written");
    assert_eq!(
        sent.line,
        "PUT /apis/poolbudget.dev/v1beta1/namespaces/shop/dbconnectionbudgets/main/status?"
    );
    assert_eq!(sent.body["metadata"]["resourceVersion"], json!("9"));
    assert_eq!(sent.body["metadata"]["uid"], json!("b-1"));
}

/// To read and send it again would get the same answer.
#[tokio::test]
async fn a_status_that_the_server_does_not_take_is_refused_and_not_outdated() {
    for (code, why, class) in [
        (422, "status.ledger.grants: Too many: 900", "refused"),
        (413, "Request entity too large: limit is 3145728", "refused"),
        (400, "the object provided is unrecognized", "refused"),
        (500, "etcdserver: request is too large", "refused"),
        (500, "rpc error: code = ResourceExhausted desc = trying to send message larger than max", "refused"),
        (500, "etcdserver: leader changed", "api"),
        (409, "the object has been modified", "outdated"),
        (404, "not found", "outdated"),
    ] {
        let (gateway, mut server) = leading();
        let budget = budget();
        let answered = answer(&mut server, code, failure(code, why));
        let (outcome, _) = tokio::join!(gateway.replace_status(&budget), answered);
        assert_eq!(outcome.expect_err("not taken").class(), class, "{code} {why}");
    }
}

fn page(token: &str) -> Value {
    json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "9", "continue": token}, "items": [pod_json()]})
}

#[tokio::test]
async fn a_list_is_consistent_and_has_all_pages() {
    let (gateway, mut server) = leading();
    let key = BudgetKey::new("shop", "main");
    let pages =
        async { (answer(&mut server, 200, page("more")).await, answer(&mut server, 200, page("")).await) };
    let (outcome, (first, second)) = tokio::join!(gateway.pods(&key), pages);
    assert_eq!(outcome.expect("pods").len(), 2);
    // No resourceVersion: the server answers from etcd, or from a cache that has caught up with it.
    assert_eq!(
        first.line,
        "GET /api/v1/namespaces/shop/pods?&labelSelector=poolbudget.dev%2Fbudget%3Dmain&limit=100"
    );
    assert!(second.line.ends_with("&limit=100&continue=more"), "{}", second.line);
}

#[tokio::test]
async fn a_list_whose_pages_expired_is_to_be_begun_anew() {
    let (gateway, mut server) = leading();
    let key = BudgetKey::new("shop", "main");
    let pages = async {
        answer(&mut server, 200, page("more")).await;
        answer(&mut server, 410, failure(410, "expired")).await
    };
    let (outcome, _) = tokio::join!(gateway.pods(&key), pages);
    assert_eq!(outcome.expect_err("expired").class(), "outdated");
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_ends_after_twenty_seconds() {
    let (gateway, mut server) = leading();
    let pod = pod();
    let started = tokio::time::Instant::now();
    let silence = async {
        let taken = server.next_request().await.expect("a request");
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(taken);
    };
    let outcome = tokio::select! {
        outcome = gateway.grant(&pod, SIZES) => outcome,
        () = silence => panic!("waited for a minute"),
    };
    assert_eq!(outcome.expect_err("no answer").class(), "timeout");
    assert_eq!(started.elapsed().as_secs(), 20);
}

#[tokio::test]
async fn who_does_not_lead_writes_nothing() {
    let (gateway, mut server) = gateway(Leadership::default());
    let pod = pod();
    let outcomes = [
        gateway.grant(&pod, SIZES).await.map(drop),
        gateway.fence(&pod, "b-1").await.map(drop),
        gateway.evict(&pod).await,
        gateway.delete(&pod).await,
        gateway.replace_status(&budget()).await.map(drop),
    ];
    for outcome in outcomes {
        assert_eq!(outcome.expect_err("refused").class(), "not_leader");
    }
    drop(gateway);
    assert!(server.next_request().await.is_none(), "no request went out");
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_and_a_connection_that_breaks_are_errors_that_say_of_what() {
    let (gateway, mut server) = leading();
    let pod = pod();
    let nonsense = json!({"metadata": {"name": 5}});
    let (outcome, _) = tokio::join!(gateway.grant(&pod, SIZES), answer(&mut server, 200, nonsense.clone()));
    let error = outcome.expect_err("no pod");
    assert_eq!(error.class(), "api");
    assert!(error.to_string().starts_with("grant 5 connections to pod shop/p: "), "{error}");
    let key = BudgetKey::new("shop", "main");
    let (outcome, _) = tokio::join!(gateway.budget(&key), answer(&mut server, 200, nonsense));
    assert!(outcome.expect_err("no budget").to_string().starts_with("read budget shop/main: "));
    let breaks = async {
        let (_, send) = server.next_request().await.expect("a request");
        send.send_error(std::io::Error::other("connection reset by peer"));
    };
    let (outcome, ()) = tokio::join!(gateway.pods(&key), breaks);
    assert!(outcome.expect_err("broken").to_string().starts_with("list pods of budget shop/main: "));
}

fn news() -> (Event, ObjectReference) {
    (event(EventType::Normal, "NoRoom", "Wait", "a note"), about_pod(&pod()))
}

#[tokio::test]
async fn an_event_has_the_times_by_which_kubectl_sorts_and_what_repeats_is_counted_on_it() {
    let (gateway, mut server) = leading();
    let mut publish = async |code, answered: Value| {
        let (event, about) = news();
        tokio::join!(gateway.publish(event, about), answer(&mut server, code, answered)).1
    };
    let stored = json!({"metadata": {}, "involvedObject": {}});
    let first = publish(201, stored.clone()).await;
    assert_eq!(first.line, "POST /api/v1/namespaces/shop/events?");
    let body = &first.body;
    assert_eq!(
        (&body["count"], &body["reason"], &body["message"]),
        (&json!(1), &json!("NoRoom"), &json!("a note"))
    );
    assert!(body["lastTimestamp"].is_string() && body["firstTimestamp"] == body["lastTimestamp"], "{body}");
    assert!(body["eventTime"].is_string() && body["reportingInstance"] == "one", "{body}");
    assert_eq!(
        (&body["involvedObject"]["name"], &body["involvedObject"]["uid"]),
        (&json!("p"), &json!("u-1"))
    );
    let name = body["metadata"]["name"].as_str().expect("a name");
    let again = publish(200, stored.clone()).await;
    assert!(
        again.line.starts_with(&format!("PATCH /api/v1/namespaces/shop/events/{name}")),
        "{}",
        again.line
    );
    assert_eq!(again.body["count"], 2);
    // A missing one is created again.
    publish(404, failure(404, "gone")).await;
    assert!(publish(201, stored).await.line.starts_with("POST "));
}

#[tokio::test]
async fn an_event_that_is_lost_is_counted_and_holds_nothing_up() {
    for code in [403, 409, 422, 429, 500] {
        let (service, mut server) = pair::<Request<Body>, Response<Body>>();
        let metrics = Metrics::default();
        let client = Client::new(service, "default");
        let gateway = KubeGateway::new(client, Leadership::unconditional(), "one", metrics.clone());
        let (event, about) = news();
        let ((), sent) =
            tokio::join!(gateway.publish(event, about), answer(&mut server, code, failure(code, "no")));
        assert!(sent.line.contains("/events"), "{}", sent.line);
        let counted = metrics.render();
        let errors = counted
            .lines()
            .filter(|line| line.starts_with("poolbudget_api_errors_total") && !line.ends_with(" 0"));
        assert_eq!(errors.count(), 1, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_not_answered_is_given_up_after_twenty_seconds() {
    let (gateway, mut server) = leading();
    let (event, about) = news();
    let started = tokio::time::Instant::now();
    let silence = async {
        let taken = server.next_request().await.expect("a request");
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(taken);
    };
    tokio::select! {
        () = gateway.publish(event, about) => {}
        () = silence => panic!("waited for a minute"),
    }
    assert_eq!(started.elapsed().as_secs(), 20);
}

#[tokio::test]
async fn who_does_not_lead_says_nothing() {
    let (gateway, mut server) = gateway(Leadership::default());
    let (event, about) = news();
    gateway.publish(event, about).await;
    drop(gateway);
    assert!(server.next_request().await.is_none(), "no request went out");
}
