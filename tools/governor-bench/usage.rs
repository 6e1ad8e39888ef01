//! What a process has used, by the kernel's word.
//!
//! In: its id. Out: time on a core, and memory.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// The unit of the times in `/proc`: Linux has a hundred in a second on every usual machine.
const TICK: Duration = Duration::from_millis(10);

/// User and system time of all its threads since its start.
pub fn cpu(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let ticks = ticks(&text).with_context(|| format!("understand {path}"))?;
    Ok(TICK.saturating_mul(ticks))
}

/// The 14th and 15th field. The second is a name, which may have spaces in it.
fn ticks(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11).map(str::parse::<u32>);
    Some(fields.next()?.ok()?.saturating_add(fields.next()?.ok()?))
}

/// Memory, in KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resident {
    all: u32,
    own: u32,
}

impl Resident {
    /// All of it, pages of files included.
    pub fn mib(self) -> f64 {
        f64::from(self.all) / 1024.0
    }

    /// What is no page of a file.
    pub fn own_mib(self) -> f64 {
        f64::from(self.own) / 1024.0
    }
}

/// The memory that a process has now.
pub fn resident(pid: u32) -> Result<Resident> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let of = |name: &str| kib(&text, name).with_context(|| format!("{path} has no {name}"));
    Ok(Resident { all: of("VmRSS:")?, own: of("RssAnon:")? })
}

fn kib(status: &str, name: &str) -> Option<u32> {
    let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_time_are_added_whatever_the_program_is_called() {
        let stat = "77 (a) b (c) S 1 77 77 0 -1 4194304 1 2 3 4 250 50 7 8 20 0 3 0 9 10 11";
        assert_eq!(ticks(stat), Some(300));
        assert_eq!(ticks("77 (a) S 1 77"), None);
    }

    #[test]
    fn memory_is_read_in_kib() {
        let status = "Name:\ta\nVmRSS:\t    7168 kB\nRssAnon:\t    2048 kB\n";
        assert_eq!([kib(status, "VmRSS:"), kib(status, "RssAnon:")], [Some(7168), Some(2048)]);
        assert_eq!(kib(status, "VmSwap:"), None);
    }
}
