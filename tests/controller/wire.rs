//! An API server behind a mocked connection: Leases, lists and watches, where a script decides about each request.
//!
//! In: HTTP requests of a real client. Out: answers, refusals, silence, broken connections and garbage.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::channel::mpsc::{UnboundedSender, unbounded};
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use kube::Client;
use kube::client::Body;
use poolbudget::controller::lists::BoundedAnswers;
use serde_json::{Value, json};
use tower::Layer;
use tower_test::mock::{SendResponse, pair};

/// What happens to a request that is not simply answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It is refused with this code and not executed.
    Refused(u16),
    /// It is never answered.
    Silence,
    /// The connection breaks.
    Broken,
    /// The answer is not JSON.
    Nonsense,
}

/// Decides about a request by its request line, such as `GET /api/v1/pods?...`.
type Script = Box<dyn FnMut(&str) -> Option<Trouble> + Send>;
type Reply = Response<UnsyncBoxBody<Bytes, std::io::Error>>;
type Stream = UnboundedSender<Result<Frame<Bytes>, std::io::Error>>;

pub(crate) struct State {
    script: Script,
    pub(crate) lease: Option<Value>,
    version: u64,
    /// Objects by the plural of their kind.
    pub(crate) lists: HashMap<String, Vec<Value>>,
    watchers: HashMap<String, Vec<Stream>>,
    /// The request lines of all requests.
    pub(crate) asked: Vec<String>,
    unanswered: Vec<SendResponse<Reply>>,
    /// Whether Argo Rollouts are installed.
    pub(crate) installed: bool,
    /// Whether lists are streamed; if not, requests for a stream are not recorded.
    pub(crate) streams: bool,
}

/// The server.
#[derive(Clone)]
pub(crate) struct Wire(Arc<Mutex<State>>);

impl Wire {
    /// A server, and a client that talks to it.
    pub(crate) fn start() -> (Self, Client) {
        let (service, mut handle) = pair::<Request<Body>, Reply>();
        let state = State {
            script: Box::new(|_| None),
            lease: None,
            version: 100,
            lists: HashMap::new(),
            watchers: HashMap::new(),
            asked: Vec::new(),
            unanswered: Vec::new(),
            installed: false,
            streams: false,
        };
        let wire = Self(Arc::new(Mutex::new(state)));
        let server = wire.clone();
        tokio::spawn(async move {
            while let Some((request, send)) = handle.next_request().await {
                server.serve(request, send).await;
            }
        });
        (wire, Client::new(BoundedAnswers.layer(service), "default"))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("the server")
    }

    /// From now on requests whose line contains `part` meet this trouble.
    pub(crate) fn fail(&self, part: &'static str, trouble: Trouble) {
        self.state().script = Box::new(move |line| line.contains(part).then_some(trouble));
    }

    /// From now on every request is answered normally.
    pub(crate) fn heal(&self) {
        self.state().script = Box::new(|_| None);
    }

    pub(crate) fn asked(&self, part: &str) -> usize {
        self.state().asked.iter().filter(|line| line.contains(part)).count()
    }

    async fn serve(&self, request: Request<Body>, send: SendResponse<Reply>) {
        let (parts, body) = request.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let line = format!("{} {}", parts.method, parts.uri);
        let mut state = self.state();
        if line.contains("sendInitialEvents=true") && !state.streams {
            return send.send_response(refusal(422));
        }
        state.asked.push(line.clone());
        match (state.script)(&line) {
            None => send.send_response(state.answer(&line, serde_json::from_slice(&bytes).ok())),
            Some(Trouble::Refused(code)) => send.send_response(refusal(code)),
            Some(Trouble::Silence) => state.unanswered.push(send),
            Some(Trouble::Broken) => send.send_error(std::io::Error::other("connection reset by peer")),
            Some(Trouble::Nonsense) => send.send_response(answer(200, "<html>".into())),
        }
    }

    /// Sends an event to the watchers of this kind.
    pub(crate) fn tell(&self, plural: &str, kind: &str, object: &Value) {
        self.send(plural, || Ok(event(kind, object)));
    }

    /// Breaks the streams of this kind's watchers.
    pub(crate) fn break_off(&self, plural: &str) {
        self.send(plural, || Err(std::io::Error::other("connection reset by peer")));
        self.state().watchers.remove(plural);
    }

    fn send(&self, plural: &str, made: impl Fn() -> Result<String, std::io::Error>) {
        for watcher in self.state().watchers.entry(plural.to_owned()).or_default() {
            // A watcher that has stopped gets nothing.
            let _ = watcher.unbounded_send(made().map(|text| Frame::data(Bytes::from(text))));
        }
    }
}

impl State {
    fn answer(&mut self, line: &str, body: Option<Value>) -> Reply {
        let (method, uri) = line.split_once(' ').expect("a line");
        let path = uri.split('?').next().expect("a path");
        let plural = path.rsplit('/').next().expect("a plural").to_owned();
        if path.contains("/leases") {
            return self.lease(method, body);
        }
        if path.ends_with("/argoproj.io/v1alpha1") {
            return self.discovery();
        }
        if uri.contains("watch=true") {
            let (sender, receiver) = unbounded();
            if uri.contains("sendInitialEvents=true") {
                self.stream_list(&plural, &sender);
            }
            self.watchers.entry(plural).or_default().push(sender);
            return Response::new(UnsyncBoxBody::new(StreamBody::new(receiver)));
        }
        let items = self.lists.get(&plural).map_or(&[][..], Vec::as_slice);
        let from = parameter(uri, "continue").unwrap_or(0).min(items.len());
        let to = parameter(uri, "limit").map_or(items.len(), |limit| items.len().min(from + limit));
        let mut list = json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "50"}, "items": items[from..to]});
        if to < items.len() {
            list["metadata"]["continue"] = json!(to.to_string());
        }
        answer(200, list.to_string())
    }

    /// All objects of a kind as events, and the bookmark that ends them.
    fn stream_list(&self, plural: &str, to: &Stream) {
        let list = self.lists.get(plural).cloned().unwrap_or_default();
        let end = json!({"kind": "Any", "apiVersion": "v1", "metadata":
            {"resourceVersion": "50", "annotations": {"k8s.io/initial-events-end": "true"}}});
        let added = list.iter().map(|object| event("ADDED", object));
        for event in added.chain([event("BOOKMARK", &end)]) {
            to.unbounded_send(Ok(Frame::data(Bytes::from(event)))).expect("somebody listens");
        }
    }

    /// What is served of a group that may not be installed.
    fn discovery(&self) -> Reply {
        if !self.installed {
            return refusal(404);
        }
        let rollouts = json!({"name": "rollouts", "singularName": "rollout", "namespaced": true, "kind": "Rollout",
            "verbs": ["get", "list", "watch"]});
        let list = json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "argoproj.io/v1alpha1",
            "resources": [rollouts]});
        answer(200, list.to_string())
    }

    fn lease(&mut self, method: &str, body: Option<Value>) -> Reply {
        let stored = self.lease.as_ref().map(|lease| lease["metadata"]["resourceVersion"].clone());
        let body = body.filter(|body| !body.is_null());
        match (method, stored, body) {
            ("GET", None, _) => refusal(404),
            ("POST", Some(_), _) => refusal(409),
            ("PUT", stored, Some(new)) if stored != Some(new["metadata"]["resourceVersion"].clone()) => {
                refusal(409)
            }
            ("POST" | "PUT", _, Some(mut new)) => {
                self.version += 1;
                new["metadata"]["resourceVersion"] = json!(self.version.to_string());
                self.lease = Some(new.clone());
                answer(200, new.to_string())
            }
            _ => answer(200, self.lease.clone().unwrap_or_default().to_string()),
        }
    }
}

/// A line of a watch; the API server writes the type first.
fn event(kind: &str, object: &Value) -> String {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")
}

fn parameter(uri: &str, name: &str) -> Option<usize> {
    let (_, query) = uri.split_once('?')?;
    let values = query.split('&').filter_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    values.filter_map(|value| value.parse().ok()).next()
}

fn refusal(code: u16) -> Reply {
    let reason = match code {
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        _ => "",
    };
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
        "message": format!("refused with {code}")});
    answer(code, status.to_string())
}

fn answer(code: u16, body: String) -> Reply {
    let body = Full::new(Bytes::from(body)).map_err(|never| match never {});
    Response::builder().status(code).body(UnsyncBoxBody::new(body)).expect("an answer")
}

/// Waits for a condition, for at most a minute of the paused clock.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within a minute: {what}");
}
