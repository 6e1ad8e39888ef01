//! Connections to the databases that did not come through the governor, as the kernel lists them.
//!
//! In: `/proc/net/tcp` and `tcp6` of the pod's own network. Out: how many of the established connections lead to an
//! address of a database and are not the governor's. Forbidden here: closing any of them.
//!
//! The lists: <https://www.kernel.org/doc/html/latest/networking/proc_net_tcp.html>.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep};

use super::state::{Ends, State};
use super::upstream::Upstream;

/// How often the lists are read.
const EVERY: Duration = Duration::from_secs(5);
/// The most bytes that are read of a list: some seven thousand sockets.
const BYTES: u64 = 1 << 20;
/// How long after a list was read the governor knows all of its sockets that were on it.
const GRACE: Duration = Duration::from_millis(250);
/// How the list calls an established connection.
const ESTABLISHED: &str = "01";

/// The order of the bytes of a number in memory, which is how addresses are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The lowest first.
    Little,
    /// The highest first.
    Big,
}

impl Order {
    /// That of this machine.
    #[must_use]
    pub const fn native() -> Self {
        if cfg!(target_endian = "big") { Self::Big } else { Self::Little }
    }

    /// The bytes of a number as they are in memory.
    const fn bytes(self, number: u32) -> [u8; 4] {
        match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        }
    }
}

/// Counts for as long as it is polled.
pub async fn watch(upstreams: Vec<Arc<Upstream>>, state: Arc<State>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let folder = Path::new("/proc/net");
    let mut can_read = true;
    loop {
        ticks.tick().await;
        // Asks DNS where the last answer is old; a failure is told where it is.
        for upstream in &upstreams {
            let _ = upstream.addresses().await;
        }
        let counted = others(folder.to_owned(), &upstreams, &state).await;
        if can_read != counted.is_ok() {
            can_read = counted.is_ok();
            match &counted {
                Ok(_) => tracing::info!("the list of connections can be read again"),
                Err(error) => tracing::warn!(%error, "the list of connections cannot be read"),
            }
        }
        if let Ok(others) = counted {
            state.sees(others);
        }
    }
}

/// How many connections to the databases are not the governor's.
async fn others(folder: PathBuf, upstreams: &[Arc<Upstream>], state: &State) -> io::Result<u64> {
    state.own.remember();
    let counted = count(folder, upstreams, state).await;
    state.own.forget();
    counted
}

async fn count(folder: PathBuf, upstreams: &[Arc<Upstream>], state: &State) -> io::Result<u64> {
    let listed = tokio::task::spawn_blocking(move || lists(&folder)).await.map_err(io::Error::other)??;
    let of_databases = |ends: &Ends| upstreams.iter().any(|upstream| upstream.has(ends.1));
    let strangers = |ends: &Ends| of_databases(ends) && !state.own.has(*ends);
    let found: HashSet<Ends> = listed.into_iter().filter(strangers).collect();
    if found.is_empty() {
        return Ok(0);
    }
    // A connection of the governor is listed a moment before the governor itself knows it.
    sleep(GRACE).await;
    Ok(u64::try_from(found.iter().filter(|ends| strangers(ends)).count()).unwrap_or(u64::MAX))
}

/// The established connections of both lists. A machine without IPv6 has one.
fn lists(folder: &Path) -> io::Result<Vec<Ends>> {
    let mut all = established(&read(&folder.join("tcp"))?, Order::native());
    match read(&folder.join("tcp6")) {
        Ok(text) => all.extend(established(&text, Order::native())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(all)
}

fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The established connections of a list. A line that is none, such as the first, and one that was cut off, are passed over.
#[must_use]
pub fn established(text: &str, order: Order) -> Vec<Ends> {
    text.lines().filter_map(|line| connection(line, order)).collect()
}

fn connection(line: &str, order: Order) -> Option<Ends> {
    let mut words = line.split_ascii_whitespace();
    let (_, local, remote, state) = (words.next()?, words.next()?, words.next()?, words.next()?);
    (state == ESTABLISHED).then_some(())?;
    Some((address(local, order)?, address(remote, order)?))
}

/// `0100007F:1538`, or four such numbers in a row and a port.
fn address(text: &str, order: Order) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok().filter(|_| port.len() == 4)?;
    ip.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(())?;
    let number = |part: &[u8]| u32::from_str_radix(std::str::from_utf8(part).ok()?, 16).ok();
    let parts: Option<Vec<[u8; 4]>> =
        ip.as_bytes().chunks(8).map(|part| Some(order.bytes(number(part)?))).collect();
    let ip = match (ip.len(), parts?.as_slice()) {
        (8, [one]) => IpAddr::V4(Ipv4Addr::from(*one)),
        (32, [a, b, c, d]) => {
            let all = [*a, *b, *c, *d].concat();
            IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(all).ok()?)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests;
