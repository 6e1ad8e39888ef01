//! Clients that take as much as they can.

use std::net::SocketAddr;

use http::StatusCode;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::sync::Semaphore;

use super::*;

const SOON: Duration = Duration::from_secs(20);
const ROOMY: Bounds = Bounds { connections: 8, from_one_source: 8, first_request: SOON, idle: SOON };

struct Served {
    address: SocketAddr,
    registry: Registry,
    /// One request to `/slow` is answered for each permit.
    permits: Arc<Semaphore>,
    /// Holds a permit for each request to `/slow` that has arrived.
    come: Arc<Semaphore>,
}

async fn served(bounds: Bounds) -> Served {
    let mut registry = Registry::default();
    let drops = Drops::registered(&mut registry);
    drops.port("http");
    let (permits, come) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let port = Port { name: "http", bounds, tls: None, drops: drops.clone() };
    let (slow, told) = (Arc::clone(&permits), Arc::clone(&come));
    let answer = move |request: Request<Incoming>| {
        let (slow, told) = (Arc::clone(&slow), Arc::clone(&told));
        async move {
            if request.uri().path() == "/slow" {
                told.add_permits(1);
                slow.acquire().await.unwrap().forget();
            }
            Response::new(Full::new(Bytes::from_static(b"yes")))
        }
    };
    tokio::spawn(listen(listener, port, answer, CancellationToken::new()));
    Served { address, registry, permits, come }
}

impl Served {
    /// A connection from 127.0.0.`host`.
    async fn connect(&self, host: u8) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, host], 0))).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    fn dropped(&self, reason: &str) -> u64 {
        let series = format!("connections_dropped_total{{port=\"http\",reason=\"{reason}\"}} ");
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        text.lines().find_map(|line| line.split_once(&series)).unwrap().1.parse().unwrap()
    }
}

async fn ask(stream: &mut TcpStream, path: &str) -> String {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
    answered(stream).await
}

/// The status of an answer.
async fn answered(stream: &mut TcpStream) -> String {
    let mut read = [0; 512];
    let length = tokio::time::timeout(SOON, stream.read(&mut read)).await.unwrap().unwrap();
    String::from_utf8_lossy(&read[..length]).split(' ').nth(1).unwrap_or_default().to_owned()
}

/// Waits until the other side has closed.
async fn closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    // If it is closed with something unread, it is reset.
    let _ = tokio::time::timeout(SOON, stream.read_to_end(&mut rest)).await.unwrap();
}

#[tokio::test]
async fn who_holds_connections_and_asks_nothing_keeps_nobody_out() {
    let served = served(ROOMY).await;
    let mut idle = Vec::new();
    for _ in 0..8 {
        idle.push(served.connect(2).await);
    }
    for _ in 0..20 {
        assert_eq!(ask(&mut served.connect(1).await, "/").await, "200");
    }
    closed(&mut idle[0]).await;
    assert!(served.dropped("full") >= 1);
}

#[tokio::test]
async fn one_source_takes_its_part_and_sends_its_own_away() {
    let served = served(Bounds { from_one_source: 2, ..ROOMY }).await;
    let mut other = served.connect(1).await;
    assert_eq!(ask(&mut other, "/").await, "200");
    let (mut first, mut second) = (served.connect(2).await, served.connect(2).await);
    assert_eq!((ask(&mut first, "/").await, ask(&mut second, "/").await), ("200".into(), "200".into()));
    let mut third = served.connect(2).await;
    assert_eq!(ask(&mut third, "/").await, "200");
    closed(&mut first).await;
    assert_eq!((ask(&mut second, "/").await, ask(&mut other, "/").await), ("200".into(), "200".into()));
    assert_eq!((served.dropped("source"), served.dropped("full")), (1, 0));
}

#[tokio::test]
async fn who_never_asked_goes_before_who_is_idle_for_longer() {
    let served = served(Bounds { connections: 2, ..ROOMY }).await;
    let mut known = served.connect(1).await;
    assert_eq!(ask(&mut known, "/").await, "200");
    let mut silent = served.connect(2).await;
    let mut new = served.connect(3).await;
    assert_eq!(ask(&mut new, "/").await, "200");
    closed(&mut silent).await;
    assert_eq!(ask(&mut known, "/").await, "200");
}

#[tokio::test]
async fn nobody_is_sent_away_while_he_is_answered() {
    let served = served(Bounds { connections: 1, ..ROOMY }).await;
    let mut busy = served.connect(1).await;
    busy.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    drop(served.come.acquire().await.unwrap());
    let mut refused = served.connect(2).await;
    closed(&mut refused).await;
    served.permits.add_permits(1);
    assert_eq!(answered(&mut busy).await, "200");
}

#[tokio::test]
async fn who_brings_no_whole_request_in_time_is_closed_and_counted() {
    let served = served(Bounds { first_request: Duration::from_millis(100), ..ROOMY }).await;
    let (mut silent, mut slow) = (served.connect(1).await, served.connect(1).await);
    slow.write_all(b"GET / HTTP/1.1\r\nhost: ").await.unwrap();
    closed(&mut silent).await;
    closed(&mut slow).await;
    assert_eq!(served.dropped("no_request"), 2);
    let mut known = served.connect(1).await;
    assert_eq!(ask(&mut known, "/").await, "200");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(ask(&mut known, "/").await, "200", "who has asked may be idle for longer");
}

#[tokio::test]
async fn a_head_without_end_is_refused_with_little_memory() {
    let served = served(ROOMY).await;
    let mut stream = served.connect(1).await;
    let line = format!("x: {}\r\n", "y".repeat(1_000));
    stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    for _ in 0..100 {
        if stream.write_all(line.as_bytes()).await.is_err() {
            break;
        }
    }
    let mut said = Vec::new();
    let _ = tokio::time::timeout(SOON, stream.read_to_end(&mut said)).await.unwrap();
    let refused = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE.as_str();
    let said = String::from_utf8_lossy(&said);
    assert!(said.is_empty() || said.contains(refused), "{said}");
}
