//! The clock that this program shares with the applications: seconds since 1970.

use std::time::SystemTime;

/// Now.
pub fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |age| age.as_secs_f64())
}
