//! The way to the page: which replica is chosen, what a user is told, and connections through an API server that
//! forwards ports as the real one does.

use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use kube::core::Status;
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use super::*;

const SOON: Duration = Duration::from_secs(20);

fn pod(name: &str, ready: &str, address: Option<&str>) -> Pod {
    let env = address.map(|address| json!([{"name": ADDRESS, "value": address}]));
    serde_json::from_value(json!({"metadata": {"name": name},
        "spec": {"containers": [{"name": "poolbudget", "env": env}]},
        "status": {"conditions": [{"type": "Ready", "status": ready}]}}))
    .expect("a pod")
}

#[test]
fn the_first_ready_replica_that_serves_the_page_is_chosen() {
    let mut leaving = pod("leaving", "True", Some("127.0.0.1:8081"));
    let now = k8s_openapi::jiff::Timestamp::UNIX_EPOCH;
    leaving.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now));
    let pods = [
        pod("starting", "False", Some("127.0.0.1:8081")),
        leaving,
        pod("older", "True", None),
        pod("serving", "True", Some("127.0.0.1:8091")),
    ];
    let expected = Replica { pod: "serving".to_owned(), port: 8091 };
    assert_eq!(choose(&pods, "there"), Ok(expected));
}

#[test]
fn who_finds_no_page_is_told_what_to_do() {
    let none = choose(&[pod("a", "False", Some("127.0.0.1:8081"))], "there").expect_err("none");
    assert!(none.starts_with("no replica of the operator is Ready in namespace there"), "{none}");
    let off = choose(&[pod("a", "True", None)], "there").expect_err("off");
    assert!(off.ends_with("--set page.enabled=true"), "{off}");
}

#[test]
fn who_may_not_is_told_what_to_ask_for() {
    let status = Status::failure("pods is forbidden", "Forbidden").with_code(403);
    let said = refused("forward a port", "there", &Error::Api(Box::new(status))).to_string();
    assert!(
        said.starts_with("cannot forward a port in namespace there: pods is forbidden; ask for"),
        "{said}"
    );
    assert!(said.contains("get and create pods/portforward"), "{said}");
}

/// An API server with one replica, which says its name to whoever connects.
#[derive(Clone)]
struct Server(Arc<Mutex<Behind>>);

#[derive(Clone, Copy, PartialEq)]
enum Behind {
    Replica(&'static str),
    Forbidden,
}

impl Server {
    async fn start(behind: Behind) -> (Self, Road) {
        let server = Self(Arc::new(Mutex::new(behind)));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        let client = Client::try_from(Config::new(url.parse().expect("a URL"))).expect("a client");
        let pods = Api::namespaced(client, "there");
        (server, Road { pods, namespace: "there".to_owned(), to: Mutex::default() })
    }

    fn become_(&self, behind: Behind) {
        *self.0.lock().expect("no panic") = behind;
    }

    async fn serve(self, mut stream: TcpStream) {
        let mut head = [0; 4096];
        let length = stream.peek(&mut head).await.unwrap_or(0);
        let text = String::from_utf8_lossy(head.get(..length).unwrap_or_default()).into_owned();
        let behind = *self.0.lock().expect("no panic");
        let Behind::Replica(name) = behind else {
            let refused = json!({"kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden",
                "message": "pods/portforward is forbidden"});
            return answer(&mut stream, "403 Forbidden", &refused).await;
        };
        let forwards = text.starts_with(&format!("GET /api/v1/namespaces/there/pods/{name}/portforward"));
        if forwards {
            forward(stream, name).await;
        } else if text.starts_with("GET /api/v1/namespaces/there/pods?") {
            let pod = json!(pod(name, "True", Some("127.0.0.1:8091")));
            let list = json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": [pod]});
            answer(&mut stream, "200 OK", &list).await;
        } else {
            let gone = json!({"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "message": "no pod"});
            answer(&mut stream, "404 Not Found", &gone).await;
        }
    }
}

async fn answer(stream: &mut TcpStream, code: &str, body: &Value) {
    let mut head = [0; 4096];
    let _ = stream.read(&mut head).await;
    let body = body.to_string();
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {code}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    let _ = stream.write_all(text.as_bytes()).await;
}

/// Port 8091 of a pod: channel 0 has its bytes, channel 1 its errors, and each begins with the port.
async fn forward(stream: TcpStream, name: &str) {
    #[expect(clippy::result_large_err, reason = "the type of the library")]
    let accept = |_: &Request, mut response: Response| {
        let protocol = "v4.channel.k8s.io".parse().expect("a value");
        response.headers_mut().insert("sec-websocket-protocol", protocol);
        Ok(response)
    };
    let mut socket = tokio_tungstenite::accept_hdr_async(stream, accept).await.expect("a WebSocket");
    for channel in [0, 1] {
        let [low, high] = 8091_u16.to_le_bytes();
        socket.send(Message::binary(vec![channel, low, high])).await.expect("sent");
    }
    while let Some(Ok(message)) = socket.next().await {
        let data = message.into_data();
        if data.len() > 1 {
            let said = [&[0], name.as_bytes(), b": ", data.get(1..).unwrap_or_default()].concat();
            let _ = socket.send(Message::binary(said)).await;
        }
    }
}

/// What is answered to a word on a new connection.
async fn asked(address: SocketAddr, word: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(word.as_bytes()).await.expect("sent");
    let mut read = [0; 64];
    let length = timeout(SOON, stream.read(&mut read)).await.expect("in time").expect("an answer");
    String::from_utf8_lossy(read.get(..length).unwrap_or_default()).into_owned()
}

#[tokio::test]
async fn connections_are_carried_and_a_replica_that_is_gone_is_replaced_by_another() {
    let (server, road) = Server::start(Behind::Replica("first")).await;
    let replica = road.try_out().await.expect("a replica");
    assert_eq!(replica, Replica { pod: "first".to_owned(), port: 8091 });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(carry_all(listener, Arc::new(road)));
    assert_eq!(asked(address, "one").await, "first: one");
    assert_eq!(asked(address, "two").await, "first: two");
    server.become_(Behind::Replica("second"));
    assert_eq!(asked(address, "three").await, "second: three");
}

#[tokio::test]
async fn who_may_not_forward_is_told_so_before_anything_is_opened() {
    let (_, road) = Server::start(Behind::Forbidden).await;
    let said = road.try_out().await.expect_err("forbidden").to_string();
    assert!(said.contains("pods/portforward is forbidden; ask for the Role poolbudget-page"), "{said}");
}
