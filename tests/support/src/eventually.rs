//! Waits for a condition, with a deadline and with the reason why it was not met.

use std::future::Future;
use std::panic::Location;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

const PAUSE: Duration = Duration::from_millis(50);

/// Polls `condition` until it is met, and returns what it found.
///
/// # Panics
///
/// When `deadline` passes: with `what` was awaited, and the last reason from `condition`.
#[track_caller]
pub fn eventually<T, C, F>(
    deadline: Duration,
    what: &str,
    mut condition: C,
) -> impl Future<Output = T> + use<T, C, F>
where
    C: FnMut() -> F,
    F: Future<Output = Result<T, String>>,
{
    let caller = Location::caller();
    let what = what.to_owned();
    async move {
        let end = Instant::now() + deadline;
        let mut reason = "the first look at it did not come back".to_owned();
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            match timeout(left, condition()).await {
                Ok(Ok(found)) => return found,
                Ok(Err(why)) => reason = why,
                Err(_elapsed) => break,
            }
            sleep(PAUSE).await;
        }
        fail(&format!("{caller}: not within {deadline:?}: {what}\nlast: {reason}"))
    }
}

#[expect(clippy::panic, reason = "a test that waits in vain has failed")]
fn fail(message: &str) -> ! {
    panic!("{message}")
}
