//! `/livez`, `/readyz` and `/metrics` with clients and networks that misbehave.

use std::net::SocketAddr;
use std::time::Duration;

use poolbudget::telemetry::http::{Readiness, serve};
use poolbudget::telemetry::metrics::Metrics;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

async fn started(readiness: &Readiness) -> (SocketAddr, CancellationToken, JoinHandle<std::io::Result<()>>) {
    loop {
        let free = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(free, Metrics::default(), readiness.clone(), stop.clone()));
        for _ in 0..500 {
            if TcpStream::connect(free).await.is_ok() {
                return (free, stop, task);
            }
            if task.is_finished() {
                // Another process was faster.
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn says(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(request).await.expect("sent");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
    read.expect("an end of the answer").expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn an_address_that_is_taken_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = taken.local_addr().expect("an address");
    let outcome = serve(address, Metrics::default(), Readiness::default(), CancellationToken::new()).await;
    assert_eq!(outcome.expect_err("taken").kind(), std::io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn who_speaks_nonsense_or_hangs_up_keeps_nobody_else_waiting() {
    let readiness = Readiness::awaiting(&["the API server"]);
    let (address, stop, task) = started(&readiness).await;
    let silent = TcpStream::connect(address).await.expect("a connection");
    drop(TcpStream::connect(address).await.expect("a connection"));
    assert!(!says(address, b"\x16\x03\x01 no HTTP\r\n\r\n").await.contains("200 OK"));
    assert!(says(address, &get("/livez")).await.starts_with("HTTP/1.1 200"));
    let unready = says(address, &get("/readyz")).await;
    assert!(
        unready.starts_with("HTTP/1.1 503") && unready.ends_with("waiting for: the API server\n"),
        "{unready}"
    );
    assert!(says(address, &get("/etc/passwd")).await.starts_with("HTTP/1.1 404"));
    assert!(says(address, &get("/metrics")).await.contains("poolbudget_leader 0"));
    stop.cancel();
    task.await.expect("no panic").expect("an end");
    drop(silent);
}
