use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// Answers one connection with these bytes, and keeps it open until its client goes if `stays`.
async fn served(answer: Vec<u8>, stays: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let mut asked = [0; 1024];
        let _ = stream.read(&mut asked).await;
        let _ = stream.write_all(&answer).await;
        while stays && stream.read(&mut asked).await.is_ok_and(|read| read > 0) {}
    });
    address
}

async fn told(answer: impl Into<Vec<u8>>, stays: bool) -> Result<String, Silence> {
    let body = fetch(served(answer.into(), stays).await, "/metrics").await?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn the_body_of_an_answer_is_read() {
    let whole = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nup 1";
    assert_eq!(told(whole, true).await.as_deref(), Ok("up 1"));
    assert_eq!(told("HTTP/1.1 200 OK\r\n\r\nup 1", false).await.as_deref(), Ok("up 1"));
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nup\r\n2\r\n 1\r\n0\r\n\r\n";
    assert_eq!(told(chunked, true).await.as_deref(), Ok("up 1"));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = served(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nup 1".to_vec(), true).await;
    let moved = format!("HTTP/1.1 302 Found\r\nLocation: http://{other}/\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(told(moved, true).await, Err(Silence::Status(302)));
    for status in [204, 401, 404, 500] {
        let answer = format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(told(answer, true).await, Err(Silence::Status(status)));
    }
}

#[tokio::test]
async fn an_answer_has_an_end() {
    let large = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; MAX_BYTES + 1]].concat();
    assert_eq!(told(large, false).await, Err(Silence::TooLarge));
    let head = [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'x'; 2 * HEAD], b"\r\n\r\n".to_vec()].concat();
    assert_eq!(told(head, false).await, Err(Silence::Broken));
    for nonsense in ["", "SSH-2.0-x\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nup"] {
        assert_eq!(told(nonsense, false).await, Err(Silence::Broken), "{nonsense}");
    }
}

#[tokio::test]
async fn a_pod_that_does_not_answer_is_given_up() {
    let begun = tokio::time::Instant::now();
    assert_eq!(told("", true).await, Err(Silence::TimedOut));
    assert_eq!(told("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nup", true).await, Err(Silence::TimedOut));
    assert!(begun.elapsed() < 3 * PATIENCE);
    let closed = TcpListener::bind("127.0.0.1:0").await.and_then(|port| port.local_addr()).expect("a port");
    assert_eq!(fetch(closed, "/").await, Err(Silence::Unreachable));
}
