//! The JSON by which apps commonly report a pool.
//!
//! In: a body. Out: a reading. Members that are missing or no numbers say nothing.

use serde_json::{Map, Value};

use super::{Covers, MAX_CONNECTIONS, Maximum, Reading};

/// Where the pool may be in an answer.
const PLACES: [&[&str]; 5] = [&[], &["pool"], &["database", "pool"], &["database"], &["connection_pool"]];

/// The pool class of `SQLAlchemy` that opens a connection for each checkout.
const NULL_POOL: &str = "NullPool";

/// The numbers of a library that tells all of them.
struct Library {
    maximum: &'static str,
    /// Whether a maximum of 0 says that there is none.
    zero_is_unbounded: bool,
    open: &'static str,
    idle: &'static str,
    waiting: Option<&'static str>,
}

/// What the libraries themselves answer: `psycopg_pool`, the pool of node-postgres, Go's `sql.DBStats`.
const LIBRARIES: [Library; 3] = [
    Library {
        maximum: "pool_max",
        zero_is_unbounded: false,
        open: "pool_size",
        idle: "pool_available",
        waiting: Some("requests_waiting"),
    },
    Library {
        maximum: "max",
        zero_is_unbounded: false,
        open: "totalCount",
        idle: "idleCount",
        waiting: Some("waitingCount"),
    },
    Library {
        maximum: "MaxOpenConnections",
        zero_is_unbounded: true,
        open: "OpenConnections",
        idle: "Idle",
        waiting: None,
    },
];

pub(super) fn read(body: &[u8]) -> Option<Reading> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    PLACES.iter().find_map(|place| {
        let pool = place.iter().try_fold(&answer, |value, key| value.get(key))?.as_object()?;
        LIBRARIES.iter().find_map(|library| library.read(pool)).or_else(|| sqlalchemy(pool))
    })
}

impl Library {
    fn read(&self, pool: &Map<String, Value>) -> Option<Reading> {
        let (open, idle) = (number(pool, self.open)?, number(pool, self.idle)?);
        let maximum = number(pool, self.maximum).map(|most| match most {
            0 if self.zero_is_unbounded => Maximum::Unbounded,
            most => Maximum::Of(most),
        });
        Some(Reading {
            maximum,
            open: Some(open),
            in_use: Some(open.saturating_sub(idle)),
            waiting: self.waiting.and_then(|key| number(pool, key)),
            ..Reading::of(Covers::Pool)
        })
    }
}

fn sqlalchemy(pool: &Map<String, Value>) -> Option<Reading> {
    let class = || ["pool_class", "poolclass", "class"].iter().find_map(|key| pool.get(*key)?.as_str());
    if class().is_some_and(|class| class.contains(NULL_POOL)) {
        let in_use = number(pool, "checked_out");
        let maximum = Some(Maximum::Unbounded);
        return Some(Reading { maximum, open: in_use, in_use, ..Reading::of(Covers::Pool) });
    }
    if let Some(text) = pool.get("pool_status").and_then(Value::as_str) {
        return status(text);
    }
    let size = number(pool, "size").or_else(|| number(pool, "pool_size"));
    let in_use = number(pool, "checked_out");
    // The size alone may be of anything.
    if in_use.is_none() && !pool.contains_key("overflow") && !pool.contains_key("max_connections") {
        return None;
    }
    let sum = || Some(size?.saturating_add(number(pool, "max_overflow")?));
    // This is SQLAlchemy's way to say that there is no bound.
    let unbounded = pool.get("max_overflow").and_then(Value::as_i64) == Some(-1);
    let most = number(pool, "max_connections").or_else(sum);
    let maximum = if unbounded { Some(Maximum::Unbounded) } else { most.map(Maximum::Of) };
    let idle = number(pool, "checked_in");
    Some(of_queue_pool(size, in_use, idle, pool.get("overflow").and_then(Value::as_i64), maximum))
}

/// What `pool.status()` of `SQLAlchemy` says: `Pool size: 5  Connections in pool: 1 Current Overflow: -3 Current Checked
/// out connections: 1`.
fn status(text: &str) -> Option<Reading> {
    let after = |what: &str| text.split_once(what)?.1.split_whitespace().next()?.parse::<i64>().ok();
    let count = |what: &str| u64::try_from(after(what)?).ok().map(|number| number.min(MAX_CONNECTIONS));
    let size = count("Pool size: ")?;
    let (idle, in_use) = (count("Connections in pool: "), count("Checked out connections: "));
    Some(of_queue_pool(Some(size), in_use, idle, after("Current Overflow: "), None))
}

/// The overflow of a `QueuePool` is what is open above its size, and below zero while less is open.
fn of_queue_pool(
    size: Option<u64>,
    in_use: Option<u64>,
    idle: Option<u64>,
    overflow: Option<i64>,
    maximum: Option<Maximum>,
) -> Reading {
    let by_parts = in_use.zip(idle).map(|(used, idle)| used.saturating_add(idle));
    let by_overflow = || Some(size?.saturating_add_signed(overflow?).min(MAX_CONNECTIONS));
    let open = by_parts.or_else(by_overflow).or(in_use);
    Reading { maximum, least: size, open, in_use, ..Reading::of(Covers::Pool) }
}

fn number(of: &Map<String, Value>, key: &str) -> Option<u64> {
    Some(of.get(key)?.as_u64()?.min(MAX_CONNECTIONS))
}
