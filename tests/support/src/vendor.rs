//! A vendor's HTTP API, played on loopback: it answers each path as the test wants, and remembers what it was asked.
//!
//! In: answers by the end of a path; every other path is unknown. Out: requests, head only. A client gets one answer for a
//! connection.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// The longest head of a request.
const HEAD: usize = 16 << 10;
/// How long a client may take to ask.
const PATIENCE: Duration = Duration::from_secs(5);

/// A status line without its version, such as `200 OK`, and a body.
type Answer = (String, String);

/// The API. It ends with this value.
#[derive(Debug)]
pub struct Vendor {
    address: SocketAddr,
    answers: Arc<Mutex<HashMap<String, Answer>>>,
    requests: Arc<Mutex<Vec<String>>>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Vendor {
    /// Listens on a free port, and knows no path yet.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("listen on loopback")?;
        let address = listener.local_addr().context("ask for the port")?;
        let answers: Arc<Mutex<HashMap<String, Answer>>> = Arc::default();
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let ends = Arc::new(AtomicBool::new(false));
        let (known, asked, over) = (Arc::clone(&answers), Arc::clone(&requests), Arc::clone(&ends));
        let thread = std::thread::spawn(move || {
            for client in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                // A client that goes away has had its answer, or wants none.
                let _ = client.and_then(|client| serve(client, &known, &asked));
            }
        });
        Ok(Self { address, answers, requests, ends, thread: Some(thread) })
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on, a path with this end has this answer.
    pub fn answers(&self, path: &str, status: &str, body: &str) {
        lock(&self.answers).insert(path.to_owned(), (status.to_owned(), body.to_owned()));
    }

    /// The heads of the requests so far.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.requests).clone()
    }
}

impl Drop for Vendor {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        // Its thread waits for a client.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(
    mut client: TcpStream,
    answers: &Mutex<HashMap<String, Answer>>,
    requests: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && head.len() < HEAD {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.push(byte[0].into());
    }
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    lock(requests).push(head);
    let known =
        lock(answers).iter().find(|(end, _)| path.ends_with(end.as_str())).map(|(_, answer)| answer.clone());
    let (status, body) = known.unwrap_or_else(|| ("404 Not Found".to_owned(), String::new()));
    write!(client, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
