//! The page's requests: the files of the page, and what it shows, as JSON.
//!
//! In: GET and HEAD, asked by a name that is ours. Out: answers that no other site can frame, and that let the browser
//! load nothing from elsewhere. Forbidden here: any write.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderMap, HeaderValue,
    REFERRER_POLICY, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::access::{Access, Refused, Visible};
use super::events::Viewer;
use super::host::Names;
use super::source::Hall;
use crate::api::BudgetKey;
use crate::telemetry::listen::respond;

/// The most viewers of a replica that are told what changes.
pub const VIEWERS: usize = 16;
/// How long a request waits for the first list of budgets.
const FIRST_LIST: Duration = Duration::from_secs(10);
const JSON: &str = "application/json";

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    base-uri 'none'; frame-ancestors 'none'; form-action 'none'";

/// What every answer says to a browser.
const HEADERS: [(HeaderName, &str); 7] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("x-frame-options"), "DENY"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// The body of an answer.
pub type Answer = UnsyncBoxBody<Bytes, Infallible>;

/// Answers requests.
pub struct Desk {
    /// What is looked at.
    pub hall: Arc<Hall>,
    /// The names by which it may be asked for.
    pub names: Names,
    /// Who is asked what a viewer may see; none if everybody may see everything.
    pub access: Option<Access>,
    /// A permit for each viewer that is told what changes.
    pub seats: Arc<Semaphore>,
    /// When it ends.
    pub stop: CancellationToken,
}

impl Desk {
    /// A desk at which no viewer sits.
    #[must_use]
    pub fn new(hall: Arc<Hall>, names: Names, access: Option<Access>, stop: CancellationToken) -> Self {
        Self { hall, names, access, seats: Arc::new(Semaphore::new(VIEWERS)), stop }
    }

    /// Answers a request.
    pub async fn answer<B>(self: Arc<Self>, request: Request<B>) -> Response<Answer> {
        let (parts, _) = request.into_parts();
        let mut response = match self.refusal(&parts.method, &parts.headers) {
            Some(refused) => refused,
            None => self.serve(parts.uri.path(), &parts.headers).await,
        };
        for (name, value) in HEADERS {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }

    /// Why a request is not answered, whatever it is for.
    fn refusal(&self, method: &Method, headers: &HeaderMap) -> Option<Response<Answer>> {
        if method != Method::GET && method != Method::HEAD {
            let mut refused = error(StatusCode::METHOD_NOT_ALLOWED, "this page is read-only: GET and HEAD");
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Some(refused);
        }
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        if !text(HOST).is_some_and(|host| self.names.contain(host)) {
            let why = "ask for localhost, 127.0.0.1 or [::1], or start the operator with --page-host";
            return Some(error(StatusCode::MISDIRECTED_REQUEST, why));
        }
        // A link on another site may lead here; its scripts may not ask.
        let navigates = text(HeaderName::from_static("sec-fetch-mode")) == Some("navigate");
        if text(HeaderName::from_static("sec-fetch-site")) == Some("cross-site") && !navigates {
            return Some(error(StatusCode::FORBIDDEN, "asked by another site"));
        }
        None
    }

    async fn serve(self: Arc<Self>, path: &str, headers: &HeaderMap) -> Response<Answer> {
        if let Some((kind, text)) = file(path) {
            return respond(StatusCode::OK, kind, text).map(BodyExt::boxed_unsync);
        }
        let token = bearer(headers);
        match path.strip_prefix("/api/") {
            Some("budgets") => self.budgets(token.as_deref()).await,
            Some("events") => self.events(token).await,
            Some(path) => match path.strip_prefix("budgets/").and_then(key) {
                Some(key) => self.budget(&key, token.as_deref()).await,
                None => nothing_here(),
            },
            None => nothing_here(),
        }
    }

    /// What a viewer is shown of these namespaces.
    pub async fn visible(&self, token: Option<&str>, namespaces: &[String]) -> Result<Visible, Refused> {
        match &self.access {
            None => Ok(Visible::All),
            Some(access) => access.visible(token, namespaces).await,
        }
    }

    async fn budgets(&self, token: Option<&str>) -> Response<Answer> {
        self.hall.look();
        let listed = async {
            while !self.hall.board().is_worth_a_look() {
                sleep(Duration::from_millis(20)).await;
                self.hall.look();
            }
        };
        if timeout(FIRST_LIST, listed).await.is_err() {
            return error(StatusCode::SERVICE_UNAVAILABLE, "the API server has not listed the budgets yet");
        }
        let namespaces = self.hall.board().namespaces();
        match self.visible(token, &namespaces).await {
            Ok(visible) => document(&self.hall.board().all(|namespace| visible.includes(namespace))),
            Err(why) => refused(&why),
        }
    }

    async fn budget(&self, key: &BudgetKey, token: Option<&str>) -> Response<Answer> {
        match self.visible(token, std::slice::from_ref(&key.namespace)).await {
            Ok(visible) if visible.includes(&key.namespace) => {}
            // Whoever may not see it is not told whether it exists.
            Ok(_) => return no_such_budget(),
            Err(why) => return refused(&why),
        }
        match self.hall.detail(key).await {
            Ok(Some(text)) => respond(StatusCode::OK, JSON, text.to_string()).map(BodyExt::boxed_unsync),
            Ok(None) => no_such_budget(),
            Err(why) => error(StatusCode::SERVICE_UNAVAILABLE, &why),
        }
    }

    async fn events(self: Arc<Self>, token: Option<String>) -> Response<Answer> {
        if let Err(why) = self.visible(token.as_deref(), &[]).await {
            return refused(&why);
        }
        let Ok(seat) = Arc::clone(&self.seats).try_acquire_owned() else {
            let why = format!("{VIEWERS} viewers look at this replica already; close one, or try again");
            let mut full = error(StatusCode::SERVICE_UNAVAILABLE, &why);
            full.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("10"));
            return full;
        };
        let viewer = Viewer::new(Arc::clone(&self), token, seat);
        let events = futures::stream::unfold(viewer, |mut viewer| async move {
            let text = viewer.next().await?;
            Some((Ok::<_, Infallible>(Frame::data(Bytes::from(text))), viewer))
        });
        let mut response = Response::new(BodyExt::boxed_unsync(StreamBody::new(events)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        response
    }
}

/// A file of the page, and its type.
fn file(path: &str) -> Option<(&'static str, &'static str)> {
    Some(match path {
        "/" | "/index.html" => ("text/html; charset=utf-8", include_str!("assets/index.html")),
        "/page.css" => ("text/css; charset=utf-8", include_str!("assets/page.css")),
        "/page.js" => ("text/javascript; charset=utf-8", include_str!("assets/page.js")),
        "/draw.js" => ("text/javascript; charset=utf-8", include_str!("assets/draw.js")),
        "/icon.svg" => ("image/svg+xml", include_str!("assets/icon.svg")),
        _ => return None,
    })
}

/// The budget that a path names: namespace and name, as Kubernetes allows them.
fn key(path: &str) -> Option<BudgetKey> {
    let (namespace, name) = path.split_once('/')?;
    let plain = |text: &str, most: usize| {
        let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
        !text.is_empty() && text.len() <= most && text.bytes().all(known) && !text.starts_with('.')
    };
    (plain(namespace, 63) && plain(name, 253)).then(|| BudgetKey::new(namespace, name))
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

fn document(of: &impl serde::Serialize) -> Response<Answer> {
    match serde_json::to_string(of) {
        Ok(text) => respond(StatusCode::OK, JSON, text).map(BodyExt::boxed_unsync),
        Err(why) => error(StatusCode::INTERNAL_SERVER_ERROR, &why.to_string()),
    }
}

fn error(code: StatusCode, why: &str) -> Response<Answer> {
    respond(code, JSON, json!({ "error": why }).to_string()).map(BodyExt::boxed_unsync)
}

fn nothing_here() -> Response<Answer> {
    error(StatusCode::NOT_FOUND, "try /, /api/budgets, /api/budgets/NAMESPACE/NAME or /api/events")
}

fn no_such_budget() -> Response<Answer> {
    error(StatusCode::NOT_FOUND, "there is no such budget, or you may not get it")
}

fn refused(why: &Refused) -> Response<Answer> {
    match why {
        Refused::Stranger => {
            let mut refused = error(StatusCode::UNAUTHORIZED, "a valid bearer token is needed");
            refused.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            refused
        }
        Refused::Unknown(why) => error(StatusCode::SERVICE_UNAVAILABLE, why),
    }
}
