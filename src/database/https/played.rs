//! A server on loopback that answers as it is told, or misbehaves.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::database::https::Origin;

/// What the server does with a request.
#[derive(Clone, Debug)]
pub enum Act {
    /// Sends these bytes, and closes.
    Say(String),
    /// Sends these bytes again and again after the first, for ever.
    Repeat(String, String),
    /// Sends these bytes one by one, slowly.
    Drip(String),
    /// Sends these bytes, and keeps the connection open.
    Hold(String),
    /// Resets the connection.
    Reset,
}

/// A server that is played.
pub struct Played {
    /// Where it is, without a scheme.
    pub address: String,
    requests: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

/// A status line and headers, with the body's true length.
pub fn answer(status: &str, headers: &str, body: &str) -> Act {
    Act::Say(format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()))
}

/// A success with a body.
pub fn ok(body: &str) -> Act {
    answer("200 OK", "Content-Type: application/json; charset=utf-8\r\n", body)
}

impl Played {
    /// Answers each request by its first line, such as `GET /v1/x HTTP/1.1`.
    pub async fn new(play: impl Fn(&str) -> Act + Send + Sync + 'static) -> Self {
        Self::with(play, None).await
    }

    /// The same, with TLS.
    pub async fn with(play: impl Fn(&str) -> Act + Send + Sync + 'static, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, play) = (Arc::clone(&requests), Arc::new(play));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (seen, play, tls) = (Arc::clone(&seen), Arc::clone(&play), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &*play, &seen).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, &*play, &seen).await,
                            Err(error) => Err(error),
                        },
                    }
                });
            }
        });
        Self { address, requests, task }
    }

    /// As an origin without TLS.
    pub fn origin(&self) -> Origin {
        Origin::new(&format!("http://{}", self.address), None).unwrap()
    }

    /// The requests so far, head and body.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// Method and path of the requests so far.
    pub fn paths(&self) -> Vec<String> {
        self.requests().iter().map(|request| request.split(" HTTP/").next().unwrap().to_owned()).collect()
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    play: &(dyn Fn(&str) -> Act + Send + Sync),
    seen: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut request = until(&mut stream, "\r\n").await?;
    let act = play(request.trim_end());
    if matches!(act, Act::Reset) {
        seen.lock().unwrap().push(request);
        // With the rest of the request unread, to close is to reset.
        return Ok(());
    }
    request += &until(&mut stream, "\r\n\r\n").await?;
    let length = request.to_ascii_lowercase();
    let length =
        length.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await?;
    request += &String::from_utf8(body).unwrap();
    seen.lock().unwrap().push(request);
    match act {
        Act::Reset => {}
        Act::Say(text) => {
            stream.write_all(text.as_bytes()).await?;
            stream.shutdown().await?;
        }
        Act::Repeat(first, again) => {
            stream.write_all(first.as_bytes()).await?;
            loop {
                stream.write_all(again.as_bytes()).await?;
            }
        }
        Act::Drip(text) => {
            for byte in text.bytes() {
                stream.write_all(&[byte]).await?;
                stream.flush().await?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Act::Hold(text) => {
            stream.write_all(text.as_bytes()).await?;
            stream.flush().await?;
            std::future::pending::<()>().await;
        }
    }
    Ok(())
}

/// Byte by byte, so that nothing more is read.
async fn until<S: AsyncRead + Unpin>(stream: &mut S, end: &str) -> std::io::Result<String> {
    let mut text = String::new();
    while !text.ends_with(end) {
        text.push(stream.read_u8().await?.into());
    }
    Ok(text)
}
