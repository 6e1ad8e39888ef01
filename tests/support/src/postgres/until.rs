//! Waits for a condition, with a deadline, and with the reason why it was not met as an error.

use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, sleep};

const PAUSE: Duration = Duration::from_millis(50);

/// Polls until `condition` holds.
pub async fn until<C>(deadline: Duration, what: &str, mut condition: C) -> Result<()>
where
    C: AsyncFnMut() -> Result<()>,
{
    let end = Instant::now() + deadline;
    while let Err(reason) = condition().await {
        if Instant::now() >= end {
            return Err(reason.context(format!("not within {deadline:?}: {what}")));
        }
        sleep(PAUSE).await;
    }
    Ok(())
}
