//! A control plane that was just killed refuses a few requests more. What must succeed is tried again for a while.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::{Instant, sleep, timeout};

/// How long something may fail.
const ENOUGH: Duration = Duration::from_secs(60);

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(30);

const PAUSE: Duration = Duration::from_millis(500);

/// Tries until it succeeds; gives the last error when that does not come to pass.
pub async fn patiently<T>(what: &str, attempt: impl AsyncFn() -> Result<T>) -> Result<T> {
    let end = Instant::now() + ENOUGH;
    loop {
        let outcome = timeout(ATTEMPT, attempt()).await.context("no answer").flatten();
        if outcome.is_ok() || Instant::now() >= end {
            return outcome.with_context(|| format!("{what}, for {ENOUGH:?}"));
        }
        sleep(PAUSE).await;
    }
}
