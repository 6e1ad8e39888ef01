//! Stands in for the Service before the operator's replicas: one address, any number of processes behind it.
//!
//! In: connections of the API server. Out: the same bytes to a replica that accepts the connection, round-robin;
//! without any replica it closes the connection, as one to a Service without endpoints fails. It does not look at the
//! content. Threads, because a cluster outlives the runtime of the test that created it.

use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};

/// A listening relay. Dropping it closes the address; connections end with their replica.
#[derive(Debug)]
pub struct Relay {
    port: u16,
    behind: Arc<Behind>,
}

#[derive(Debug, Default)]
struct Behind {
    ports: Mutex<Vec<u16>>,
    over: AtomicBool,
}

impl Relay {
    /// Listens on a loopback port, with nothing behind it yet.
    pub fn listen(port: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).context("listen for the webhook")?;
        let behind = Arc::new(Behind::default());
        let shared = Arc::clone(&behind);
        thread::spawn(move || {
            for incoming in listener.incoming() {
                if shared.over.load(Ordering::Relaxed) {
                    return;
                }
                let Some((from, to)) = incoming.ok().zip(shared.connect()) else { continue };
                join(from, to);
            }
        });
        Ok(Self { port, behind })
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Adds a replica that accepts connections on this port.
    pub fn add(&self, port: u16) {
        self.behind.ports().push(port);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.behind.over.store(true, Ordering::Relaxed);
        // Wakes the thread, so that it sees this.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl Behind {
    fn ports(&self) -> std::sync::MutexGuard<'_, Vec<u16>> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection to the first replica in the queue that accepts it; that replica goes to the end of the queue.
    fn connect(&self) -> Option<TcpStream> {
        let mut ports = self.ports();
        let connected = ports.iter().enumerate().find_map(|(place, port)| {
            TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).ok().map(|stream| (place, stream))
        });
        let (place, stream) = connected?;
        let port = ports.remove(place);
        ports.push(port);
        Some(stream)
    }
}

/// Copies bytes both ways until either side ends.
fn join(client: TcpStream, replica: TcpStream) {
    let Some((from_client, from_replica)) = client.try_clone().ok().zip(replica.try_clone().ok()) else {
        return;
    };
    thread::spawn(move || pass(from_client, replica));
    thread::spawn(move || pass(from_replica, client));
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    // A broken connection is what a killed replica looks like.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
