//! Simulated time, one clock for each thread, and the clock that the operator's processes read, which may be wrong.

use std::cell::Cell;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

/// The start of every schedule, in milliseconds since 1970.
pub(crate) const START: i64 = 1_800_000_000_000;

thread_local! {
    static NOW: Cell<i64> = const { Cell::new(START) };
    static SKEW: Cell<i64> = const { Cell::new(0) };
}

/// Milliseconds since 1970.
pub(crate) fn now() -> i64 {
    NOW.get()
}

pub(crate) fn set(now: i64) {
    NOW.set(now);
}

/// From now on the operator's clock is wrong by this many milliseconds.
pub(crate) fn skew(by: i64) {
    SKEW.set(by);
}

/// What the acting process reads from its clock.
pub(crate) fn operator() -> Timestamp {
    timestamp(NOW.get() + SKEW.get())
}

/// What every process reads from its steady clock.
pub(crate) fn steady() -> Duration {
    Duration::from_millis(u64::try_from(NOW.get() - START).expect("after the start"))
}

pub(crate) fn timestamp(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).expect("a time")
}
