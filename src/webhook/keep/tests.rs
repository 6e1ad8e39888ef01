//! The keeper against an API server that stores three objects and nothing else.

use std::sync::{Arc, Mutex};

use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use k8s_openapi::jiff::SignedDuration;
use kube::client::Body;

use super::*;
use crate::telemetry::http::Readiness;
use crate::telemetry::metrics::Metrics;
use crate::webhook::CERTIFICATE;

/// What is stored, and how often it was written.
#[derive(Debug)]
struct Stored {
    secret: Option<Value>,
    configurations: [Value; 2],
    version: u64,
    writes: usize,
    /// What another replica writes before the next write arrives.
    rival: Option<Value>,
}

#[derive(Clone)]
struct Store(Arc<Mutex<Stored>>);

fn configuration(kind: &str, entries: usize) -> Value {
    let entry = |number| {
        json!({
            "name": format!("{number}.poolbudget.dev"), "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "clientConfig": {"url": "https://host/"},
        })
    };
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
        "metadata": {"name": NAME, "resourceVersion": "1"},
        "webhooks": (0..entries).map(entry).collect::<Vec<_>>(),
    })
}

impl Store {
    fn new() -> Self {
        let configurations = [
            configuration("MutatingWebhookConfiguration", 2),
            configuration("ValidatingWebhookConfiguration", 1),
        ];
        let stored = Stored { secret: None, configurations, version: 1, writes: 0, rival: None };
        Self(Arc::new(Mutex::new(stored)))
    }

    fn keeper(&self, now: fn() -> Timestamp) -> (Keeper, Shown, Readiness) {
        let (service, mut requests) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let store = self.clone();
        tokio::spawn(async move {
            while let Some((request, answer)) = requests.next_request().await {
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let (code, object) = store.serve(&head.method, head.uri.path(), &body);
                let response =
                    Response::builder().status(code).body(Body::from(object.to_string().into_bytes()));
                answer.send_response(response.unwrap());
            }
        });
        let readiness = Readiness::default();
        let shown = Shown::new(Metrics::default(), readiness.clone());
        let keeper = Keeper::new(&Client::new(service, "there"), "there", "host", shown.clone());
        (Keeper { now, ..keeper }, shown, readiness)
    }

    fn serve(&self, method: &Method, path: &str, body: &[u8]) -> (u16, Value) {
        let stored = &mut *self.0.lock().unwrap();
        let place = match path {
            "/api/v1/namespaces/there/secrets" | "/api/v1/namespaces/there/secrets/poolbudget-webhook" => {
                None
            }
            "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/poolbudget.dev" => Some(0),
            "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/poolbudget.dev" => Some(1),
            other => panic!("{other}"),
        };
        if *method == Method::GET {
            let found = place
                .map_or_else(|| stored.secret.clone(), |place| Some(stored.configurations[place].clone()));
            return found.map_or_else(|| refused(404, "NotFound"), |found| (200, found));
        }
        if let Some(rival) = stored.rival.take() {
            stored.secret = Some(rival);
        }
        stored.version += 1;
        let version = json!(stored.version.to_string());
        let sent: Value = serde_json::from_slice(body).unwrap();
        let Some(place) = place else {
            let there = stored.secret.as_ref().map(|secret| secret["metadata"]["resourceVersion"].clone());
            match (method, there) {
                (&Method::POST, Some(_)) => return refused(409, "AlreadyExists"),
                (&Method::PUT, Some(there)) if there != sent["metadata"]["resourceVersion"] => {
                    return refused(409, "Conflict");
                }
                _ => {}
            }
            let mut secret = sent;
            secret["metadata"]["resourceVersion"] = version;
            stored.writes += 1;
            stored.secret = Some(secret.clone());
            return (200, secret);
        };
        let patch: json_patch::Patch = serde_json::from_value(sent).unwrap();
        let configuration = &mut stored.configurations[place];
        if json_patch::patch(configuration, &patch).is_err() {
            return refused(422, "Invalid");
        }
        configuration["metadata"]["resourceVersion"] = version;
        stored.writes += 1;
        (200, configuration.clone())
    }

    fn writes(&self) -> usize {
        self.0.lock().unwrap().writes
    }

    /// A field of the stored Secret, in base64.
    fn field(&self, name: &str) -> Value {
        self.0.lock().unwrap().secret.as_ref().unwrap()["data"][name].clone()
    }

    /// The authorities in every entry of both configurations.
    fn authorities(&self) -> Vec<Value> {
        let stored = self.0.lock().unwrap();
        let entries = stored.configurations.iter().flat_map(|c| c["webhooks"].as_array().unwrap());
        entries.map(|entry| entry["clientConfig"]["caBundle"].clone()).collect()
    }
}

fn refused(code: u16, reason: &str) -> (u16, Value) {
    (code, json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": reason}))
}

fn shows(shown: &Shown, field: &Value) -> bool {
    let bytes: ByteString = serde_json::from_value(field.clone()).unwrap();
    shown.shows(&String::from_utf8(bytes.0).unwrap())
}

#[tokio::test]
async fn the_first_look_makes_what_is_missing_and_the_next_one_writes_nothing() {
    let store = Store::new();
    let (keeper, shown, readiness) = store.keeper(Timestamp::now);
    assert_eq!(readiness.missing(), [CERTIFICATE]);
    keeper.look().await.unwrap();
    assert!(shows(&shown, &store.field("tls.crt")));
    assert_eq!(readiness.missing(), [""; 0]);
    assert_eq!(store.authorities(), vec![store.field("ca.crt"); 3]);
    let writes = store.writes();
    assert_eq!(writes, 3);
    keeper.look().await.unwrap();
    assert_eq!(store.writes(), writes);
}

#[tokio::test]
async fn the_slower_of_two_replicas_takes_what_the_faster_has_made() {
    let (faster, slower) = (Store::new(), Store::new());
    faster.keeper(Timestamp::now).0.look().await.unwrap();
    let made = faster.0.lock().unwrap().secret.clone();
    slower.0.lock().unwrap().rival = made;
    let (keeper, shown, _) = slower.keeper(Timestamp::now);
    assert!(matches!(keeper.look().await, Err(Trouble::Outrun)));
    keeper.look().await.unwrap();
    assert_eq!(slower.field("tls.crt"), faster.field("tls.crt"));
    assert!(shows(&shown, &faster.field("tls.crt")));

    // The same when both renew.
    let later = || Timestamp::now() + SignedDuration::from_hours(61 * 24);
    faster.keeper(later).0.look().await.unwrap();
    assert_ne!(slower.field("tls.crt"), faster.field("tls.crt"));
    let made = faster.0.lock().unwrap().secret.clone();
    slower.0.lock().unwrap().rival = made;
    let (keeper, shown, _) = slower.keeper(later);
    assert!(matches!(keeper.look().await, Err(Trouble::Outrun)));
    keeper.look().await.unwrap();
    assert!(shows(&shown, &faster.field("tls.crt")));
}

#[tokio::test]
async fn an_authority_that_somebody_takes_out_or_overwrites_is_put_back() {
    let store = Store::new();
    let (keeper, _, _) = store.keeper(Timestamp::now);
    keeper.look().await.unwrap();
    let writes = store.writes();
    {
        let mut stored = store.0.lock().unwrap();
        stored.configurations[0]["webhooks"][1]["clientConfig"].as_object_mut().unwrap().remove("caBundle");
        stored.configurations[1]["webhooks"][0]["clientConfig"]["caBundle"] = json!("eA==");
    }
    keeper.look().await.unwrap();
    assert_eq!(store.authorities(), vec![store.field("ca.crt"); 3]);
    assert_eq!(store.writes(), writes + 2);
}

#[tokio::test]
async fn without_a_configuration_there_is_a_certificate_all_the_same() {
    let store = Store::new();
    store.0.lock().unwrap().configurations = [
        configuration("MutatingWebhookConfiguration", 0),
        json!({
            "metadata": {"name": NAME, "resourceVersion": "1"},
        }),
    ];
    let (keeper, shown, _) = store.keeper(Timestamp::now);
    keeper.look().await.unwrap();
    assert!(shows(&shown, &store.field("tls.crt")));
    assert_eq!(store.writes(), 1);
}
