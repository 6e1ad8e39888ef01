//! Requests to the page, without a network: a fixed cluster behind it, and every answer as a browser gets it.

use std::time::Duration;

use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, BoxStream};
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use k8s_openapi::api::authentication::v1::UserInfo;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::access::Judge;
use super::detail::{PodRow, PodState};
use super::server::{Answer, VIEWERS};
use super::source::{Change, Opened, Source};
use super::*;
use crate::api::BudgetKey;
use crate::controller::observe::Observed;

const SOON: Duration = Duration::from_secs(20);

fn budget(namespace: &str, name: &str, committed: i64) -> Value {
    json!({"metadata": {"name": name, "namespace": namespace},
        "spec": {"limit": {"connections": 15}, "reserved": 2},
        "status": {"observedGeneration": 1, "committed": committed, "usable": 13,
            "limit": {"connections": 15, "source": "<img src=x onerror=alert(1)>"}}})
}

/// Two budgets, and what the test sends later.
struct Fixed(std::sync::Mutex<Option<mpsc::UnboundedReceiver<Change>>>);

impl Source for Fixed {
    fn budgets(&self) -> BoxStream<'static, Change> {
        let later = self.0.lock().unwrap().take().expect("followed once");
        let first = [("bank", "main", 3), ("shop", "main", 12)].map(|(namespace, name, committed)| {
            Ok(Event::InitApply(serde_json::from_value(budget(namespace, name, committed)).unwrap()))
        });
        let listed = [Ok(Event::Init)].into_iter().chain(first).chain([Ok(Event::InitDone)]);
        let later = stream::unfold(later, |mut later| async move { Some((later.recv().await?, later)) });
        stream::iter(listed).chain(later).boxed()
    }

    fn budget(&self, key: BudgetKey) -> BoxFuture<'_, Result<Option<Opened>, String>> {
        let found = (key.name == "main").then(|| Opened {
            budget: serde_json::from_value(budget(&key.namespace, "main", 12)).unwrap(),
            around: Ok(Observed::default()),
        });
        async move { Ok(found) }.boxed()
    }
}

fn explained(_: Observed, _: &BudgetKey, _: Timestamp) -> Result<Vec<PodRow>, String> {
    Ok(vec![PodRow {
        name: "api-1".to_owned(),
        workload: Some("Deployment/api".to_owned()),
        state: PodState::Waiting,
        holds: Some(0),
        reason: Some("NoRoom".to_owned()),
        text: "2 connections are missing".to_owned(),
    }])
}

/// Knows one user, who may see one namespace.
struct OnlyShop;

impl Judge for OnlyShop {
    fn who(&self, token: String) -> BoxFuture<'_, Result<Option<UserInfo>, String>> {
        async move { Ok((token == "good").then(UserInfo::default)) }.boxed()
    }
    fn may(&self, _: UserInfo, namespace: Option<String>) -> BoxFuture<'_, Result<bool, String>> {
        async move { Ok(namespace.as_deref() == Some("shop")) }.boxed()
    }
}

struct Page {
    desk: Arc<Desk>,
    later: mpsc::UnboundedSender<Change>,
}

impl Page {
    fn new(access: Option<Access>) -> Self {
        let (later, receiver) = mpsc::unbounded_channel();
        let source = Fixed(std::sync::Mutex::new(Some(receiver)));
        let hall = Arc::new(Hall::new(Box::new(source), explained, Timestamp::now));
        let stop = CancellationToken::new();
        let names = Names::new(SocketAddr::from(([127, 0, 0, 1], 8081)), &[]);
        let desk = Arc::new(Desk::new(Arc::clone(&hall), names, access, stop.clone()));
        tokio::spawn(async move { hall.attend(stop).await });
        Self { desk, later }
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Response<Answer> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Arc::clone(&self.desk).answer(request.body(()).unwrap()).await
    }

    async fn get(&self, path: &str) -> Response<Answer> {
        self.send("GET", path, &[("host", "127.0.0.1:8081")]).await
    }

    async fn get_as(&self, path: &str, token: &str) -> Response<Answer> {
        let bearer = format!("Bearer {token}");
        self.send("GET", path, &[("host", "localhost"), ("authorization", &bearer)]).await
    }
}

async fn text(response: Response<Answer>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn document(response: Response<Answer>) -> Value {
    serde_json::from_str(&text(response).await).unwrap()
}

/// The next event of a stream that is not a comment.
async fn event(stream: &mut Answer) -> Value {
    loop {
        let frame = timeout(SOON, stream.frame()).await.expect("in time").expect("an event").unwrap();
        let text = String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap();
        if let Some((_, data)) = text.split_once("data: ") {
            return serde_json::from_str(data).unwrap();
        }
    }
}

fn names(news: &Value) -> Vec<String> {
    let rows = news["rows"].as_array().unwrap().iter();
    rows.map(|row| format!("{}/{}", row["namespace"].as_str().unwrap(), row["name"].as_str().unwrap()))
        .collect()
}

#[tokio::test]
async fn every_answer_lets_the_browser_load_nothing_from_elsewhere() {
    let page = Page::new(None);
    for path in ["/", "/page.css", "/page.js", "/draw.js", "/icon.svg", "/api/budgets", "/nothing"] {
        let answer = page.get(path).await;
        let header = |name: &str| answer.headers().get(name).map_or("", |value| value.to_str().unwrap());
        assert_eq!(
            header("content-security-policy"),
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
             frame-ancestors 'none'; form-action 'none'",
            "{path}"
        );
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.status() == StatusCode::NOT_FOUND, path == "/nothing", "{path}");
    }
}

#[test]
fn the_files_of_the_page_have_no_inline_code_and_never_make_html_of_text() {
    let html = include_str!("assets/index.html");
    for forbidden in ["<style", "style=", " on", "javascript:", "http:", "https:"] {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    assert!(html.matches("<script").count() == html.matches("<script src=\"").count());
    for script in [include_str!("assets/page.js"), include_str!("assets/draw.js")] {
        let words = [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "Function(",
            "DOMParser",
        ];
        for forbidden in words {
            assert!(!script.contains(forbidden), "{forbidden}");
        }
    }
}

#[tokio::test]
async fn nothing_can_be_written() {
    let page = Page::new(None);
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT"] {
        let answer = page.send(method, "/api/budgets", &[("host", "localhost")]).await;
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(answer.headers().get("allow").unwrap(), "GET, HEAD");
    }
    let head = page.send("HEAD", "/", &[("host", "localhost")]).await;
    assert_eq!(head.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_name_that_is_not_ours_and_a_script_of_another_site_are_refused() {
    let page = Page::new(None);
    for host in [&[("host", "evil.example.com:8081")][..], &[]] {
        assert_eq!(page.send("GET", "/api/budgets", host).await.status(), StatusCode::MISDIRECTED_REQUEST);
        assert_eq!(page.send("GET", "/", host).await.status(), StatusCode::MISDIRECTED_REQUEST);
    }
    let other = [("host", "localhost"), ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")];
    assert_eq!(page.send("GET", "/api/events", &other).await.status(), StatusCode::FORBIDDEN);
    let link = [("host", "localhost"), ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
    assert_eq!(page.send("GET", "/", &link).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn budgets_are_listed_when_somebody_asks() {
    let page = Page::new(None);
    let news = document(page.get("/api/budgets").await).await;
    assert_eq!(names(&news), ["bank/main", "shop/main"]);
    assert_eq!((&news["rows"][1]["committed"], &news["rows"][1]["line"]), (&json!(12), &json!([12])));
}

#[tokio::test]
async fn an_open_budget_has_its_pods_with_their_reasons() {
    let page = Page::new(None);
    let detail = document(page.get("/api/budgets/shop/main").await).await;
    assert_eq!(detail["pods"][0]["state"], "waiting");
    assert_eq!(detail["pods"][0]["reason"], "NoRoom");
    assert_eq!(detail["source"], "<img src=x onerror=alert(1)>", "text stays text");
    for missing in
        ["/api/budgets/shop/other", "/api/budgets/shop", "/api/budgets/a/b/c", "/api/budgets/../main"]
    {
        assert_eq!(page.get(missing).await.status(), StatusCode::NOT_FOUND, "{missing}");
    }
}

#[tokio::test]
async fn a_viewer_is_told_everything_and_then_what_changes() {
    let page = Page::new(None);
    let answer = page.get("/api/events").await;
    assert_eq!(answer.headers().get("content-type").unwrap(), "text/event-stream");
    let mut stream = answer.into_body();
    let first = event(&mut stream).await;
    assert_eq!((first["full"].as_bool(), names(&first).len()), (Some(true), 2));
    let changed = serde_json::from_value(budget("shop", "main", 13)).unwrap();
    page.later.send(Ok(Event::Apply(changed))).unwrap();
    let next = event(&mut stream).await;
    assert_eq!((next["full"].as_bool(), names(&next)), (Some(false), vec!["shop/main".to_owned()]));
    assert_eq!(next["rows"][0]["committed"], 13);
    page.later.send(Err("cannot watch budgets: forbidden".to_owned())).unwrap();
    assert_eq!(event(&mut stream).await["trouble"], "cannot watch budgets: forbidden");
    page.desk.stop.cancel();
    let end = timeout(SOON, stream.frame()).await.expect("in time");
    assert!(end.is_none(), "the stream ends with the process");
}

#[tokio::test]
async fn there_is_room_for_some_viewers_and_whoever_leaves_makes_room() {
    let page = Page::new(None);
    let mut seated = Vec::new();
    for _ in 0..VIEWERS {
        seated.push(page.get("/api/events").await);
    }
    let full = page.get("/api/events").await;
    assert_eq!(full.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(full.headers().contains_key("retry-after"));
    drop(seated.pop());
    assert_eq!(page.get("/api/events").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_viewer_sees_only_what_his_token_may_get() {
    let page = Page::new(Some(Access::new(Box::new(OnlyShop))));
    for path in ["/api/budgets", "/api/events", "/api/budgets/shop/main"] {
        assert_eq!(page.get(path).await.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(page.get_as(path, "bad").await.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(page.get("/").await.status(), StatusCode::OK, "the page itself asks for the token");
    assert_eq!(names(&document(page.get_as("/api/budgets", "good").await).await), ["shop/main"]);
    assert_eq!(page.get_as("/api/budgets/shop/main", "good").await.status(), StatusCode::OK);
    let hidden = page.get_as("/api/budgets/bank/main", "good").await;
    let missing = page.get_as("/api/budgets/bank/other", "good").await;
    assert_eq!((hidden.status(), missing.status()), (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND));
    assert_eq!(text(hidden).await, text(missing).await, "whether it exists is not told");
    let mut stream = page.get_as("/api/events", "good").await.into_body();
    assert_eq!(names(&event(&mut stream).await), ["shop/main"]);
}

#[tokio::test]
async fn an_api_server_that_streams_no_lists_is_asked_for_pages() {
    use kube::client::Body;
    let (service, mut server) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    let source = source::Cluster(kube::Client::new(service, "default"));
    let asked = tokio::spawn(async move {
        let mut asked = Vec::new();
        for (code, answer) in [
            (
                422,
                json!({"kind": "Status", "status": "Failure", "code": 422, "message": "no", "reason": "Invalid"}),
            ),
            (
                200,
                json!({"kind": "DbConnectionBudgetList", "metadata": {"resourceVersion": "1"},
                "items": [budget("shop", "main", 12)]}),
            ),
        ] {
            let (request, send) = server.next_request().await.unwrap();
            asked.push(request.uri().query().unwrap_or_default().to_owned());
            let answer = Response::builder().status(code).body(Body::from(answer.to_string().into_bytes()));
            send.send_response(answer.unwrap());
        }
        asked
    });
    let mut changes = source.budgets();
    let mut kinds = Vec::new();
    while !kinds.contains(&"done") {
        kinds.push(match timeout(SOON, changes.next()).await.unwrap().unwrap() {
            Ok(Event::Init) => "init",
            Ok(Event::InitApply(_)) => "budget",
            Ok(Event::InitDone) => "done",
            other => panic!("{other:?}"),
        });
    }
    assert!(kinds.ends_with(&["budget", "done"]), "{kinds:?}");
    let asked = timeout(SOON, asked).await.unwrap().unwrap();
    assert!(asked[0].contains("sendInitialEvents=true") && asked[1].contains("limit=100"), "{asked:?}");
}
