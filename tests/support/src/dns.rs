//! A server of DNS on loopback that knows the names that a test tells it.
//!
//! In: names and their addresses. Out: answers over UDP, or none while it is silent; how often it was asked.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// How long its answers live, in seconds.
const TTL: u32 = 1;
const ADDRESS_V4: u16 = 1;
const ADDRESS_V6: u16 = 28;
const NO_SUCH_NAME: u8 = 3;

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct Dns {
    address: SocketAddr,
    book: Arc<Book>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Book {
    names: Mutex<HashMap<String, Vec<IpAddr>>>,
    is_silent: AtomicBool,
    asked: AtomicUsize,
}

impl Dns {
    /// Starts one that knows no name.
    pub async fn start() -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.context("bind a port for DNS")?;
        let (address, book) = (socket.local_addr()?, Arc::<Book>::default());
        let task = tokio::spawn(serve(socket, Arc::clone(&book)));
        Ok(Self { address, book, task })
    }

    /// Where it is asked.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A name has these addresses from now on.
    pub fn set(&self, name: &str, addresses: &[IpAddr]) {
        let mut names = self.book.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.insert(name.to_owned(), addresses.to_vec());
    }

    /// It answers nothing from now on, or again.
    pub fn silence(&self, is_silent: bool) {
        self.book.is_silent.store(is_silent, Ordering::SeqCst);
    }

    /// How many questions for addresses of version 4 have come.
    pub fn asked(&self) -> usize {
        self.book.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(socket: UdpSocket, book: Arc<Book>) {
    let mut packet = [0; 512];
    while let Ok((length, client)) = socket.recv_from(&mut packet).await {
        let question = packet.get(..length).and_then(Question::read);
        if let Some(question) = question {
            book.asked.fetch_add(usize::from(question.kind == ADDRESS_V4), Ordering::SeqCst);
            if !book.is_silent.load(Ordering::SeqCst) {
                let _ = socket.send_to(&book.answer(&question), client).await;
            }
        }
    }
}

/// What is asked: the bytes of a question as they came, and what they say.
struct Question<'a> {
    id: &'a [u8],
    asked: &'a [u8],
    name: String,
    kind: u16,
}

impl<'a> Question<'a> {
    fn read(packet: &'a [u8]) -> Option<Self> {
        let (head, body) = packet.split_at_checked(12)?;
        let (mut labels, mut rest) = (Vec::new(), body);
        loop {
            let (length, after) = rest.split_first()?;
            let (label, after) = after.split_at_checked(usize::from(*length))?;
            rest = after;
            if label.is_empty() {
                break;
            }
            labels.push(String::from_utf8_lossy(label).to_lowercase());
        }
        let kind = u16::from_be_bytes(*rest.first_chunk()?);
        let asked = body.get(..body.len() - rest.len() + 4)?;
        Some(Self { id: head.get(..2)?, asked, name: labels.join("."), kind })
    }
}

impl Book {
    fn answer(&self, question: &Question<'_>) -> Vec<u8> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let known = names.get(&question.name);
        let records: Vec<Vec<u8>> = known
            .into_iter()
            .flatten()
            .filter(|ip| question.kind == if ip.is_ipv4() { ADDRESS_V4 } else { ADDRESS_V6 })
            .map(|ip| match ip {
                IpAddr::V4(ip) => ip.octets().to_vec(),
                IpAddr::V6(ip) => ip.octets().to_vec(),
            })
            .collect();
        let code = if known.is_some() { 0 } else { NO_SUCH_NAME };
        let count = u8::try_from(records.len()).unwrap_or(u8::MAX);
        // The id, "an answer, recursion desired and available", one question, so many answers.
        let mut bytes =
            [question.id, &[0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0], question.asked].concat();
        for record in records {
            // The name of the question, its kind, the Internet.
            bytes.extend([0xc0, 12]);
            bytes.extend(question.kind.to_be_bytes());
            bytes.extend([0, 1]);
            bytes.extend(TTL.to_be_bytes());
            bytes.extend(u16::try_from(record.len()).unwrap_or_default().to_be_bytes());
            bytes.extend(record);
        }
        bytes
    }
}
