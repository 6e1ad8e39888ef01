//! Free loopback ports that stay free.
//!
//! A port that the kernel assigns (bind to 0) comes from the range of outgoing connections, so any client can take it
//! while a killed API server is down. These ports are below that range, and one process never gets one twice.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener};
use std::process;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::SystemTime;

use anyhow::{Context, Result};

const FIRST: u16 = 15_000;
const COUNT: u16 = 15_000;

static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);

/// A port of 127.0.0.1 on which nothing listens.
pub fn free_port() -> Result<u16> {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let start = starting_point();
    let port = (0..COUNT)
        .map(|step| FIRST + (start + step) % COUNT)
        .find(|port| !given.contains(port) && is_free(*port))
        .with_context(|| format!("no free port between {FIRST} and {}", FIRST + COUNT))?;
    given.insert(port);
    Ok(port)
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Spreads test processes that run at the same time over the range.
fn starting_point() -> u16 {
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |age| age.subsec_nanos());
    let mixed = u64::from(nanos / 1000) + u64::from(process::id()) * 7919;
    u16::try_from(mixed % u64::from(COUNT)).unwrap_or(0)
}
