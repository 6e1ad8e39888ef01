//! How many connections this pod may hold, from a file that others write.
//!
//! In: a file of a volume that shows an annotation of the pod. It is replaced while the pod runs, so it is opened anew
//! each time. Out: the number, to the cap. A file without a number changes nothing. Forbidden here: what a lower number
//! means for connections that are open.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::state::State;

/// How often the file is read.
const EVERY: Duration = Duration::from_millis(500);
/// The most bytes that are read of it. A file that has as many or more is too long.
const BYTES: usize = 16;
/// The largest number.
pub const MOST: u32 = 1_000_000;

/// Why a file says no number.
#[derive(Debug, thiserror::Error)]
enum NoNumber {
    #[error("the file cannot be read: {0}")]
    Unreadable(std::io::Error),
    #[error("it is no file")]
    NoFile,
    #[error("the file is empty: the pod has no number yet")]
    Empty,
    #[error("the file has no number from 0 to {MOST}")]
    NotANumber,
}

/// Reads the file for as long as it is polled, and tells the state what it says.
pub async fn follow(path: PathBuf, state: Arc<State>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let asked = path.clone();
        match tokio::task::spawn_blocking(move || read(&asked)).await {
            Ok(said) => take(said, &state, &path),
            Err(error) => tracing::error!(%error, "the reader of the number ended"),
        }
    }
}

fn take(said: Result<u32, NoNumber>, state: &State, path: &Path) {
    let before = state.cap.standing().allowed;
    let trouble = match said {
        Ok(allowed) => {
            if before != Some(allowed) {
                tracing::info!(allowed, before, "this pod may hold another number of connections");
                state.cap.set_allowed(allowed);
            }
            None
        }
        Err(why) => Some(format!("{}: {why}", path.display())),
    };
    if state.trouble(trouble.clone()) {
        match (trouble, before) {
            (None, _) => tracing::info!("the number of connections can be read again"),
            (Some(why), _) if state.watches => {
                tracing::info!(why, "there is no number, and none is needed to watch");
            }
            (Some(why), None) => tracing::warn!(why, "no client is let through until there is a number"),
            (Some(why), Some(allowed)) => tracing::warn!(why, allowed, "the last number stays"),
        }
    }
}

fn read(path: &Path) -> Result<u32, NoNumber> {
    // Anything else could keep us for ever.
    if !path.metadata().map_err(NoNumber::Unreadable)?.is_file() {
        return Err(NoNumber::NoFile);
    }
    let file = File::open(path).map_err(NoNumber::Unreadable)?;
    let mut bytes = Vec::with_capacity(BYTES);
    let most = u64::try_from(BYTES).unwrap_or_default();
    file.take(most).read_to_end(&mut bytes).map_err(NoNumber::Unreadable)?;
    number(&bytes)
}

/// A decimal number, with white space around it or without.
fn number(bytes: &[u8]) -> Result<u32, NoNumber> {
    let text = bytes.trim_ascii();
    if text.is_empty() && bytes.len() < BYTES {
        return Err(NoNumber::Empty);
    }
    let text = std::str::from_utf8(text).map_err(|_| NoNumber::NotANumber)?;
    let is_whole = bytes.len() < BYTES && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_whole && *number <= MOST).ok_or(NoNumber::NotANumber)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use tokio::time::{Instant, sleep};

    use super::*;

    #[test]
    fn a_number_is_digits_with_white_space_around_them() {
        for (text, number) in [("0", 0), ("3", 3), (" 15\n", 15), ("1000000\n", MOST), ("007", 7)] {
            assert_eq!(super::number(text.as_bytes()).expect("a number"), number, "{text:?}");
        }
        for text in
            ["1000001", "-1", "+5", "1 2", "3.0", "0x3", "three", "4294967297", "\u{663}", "12345678901234"]
        {
            assert!(matches!(super::number(text.as_bytes()), Err(NoNumber::NotANumber)), "{text:?}");
        }
        // What is cut off could have been a part of the number.
        assert!(matches!(super::number(b"0000000000000015"), Err(NoNumber::NotANumber)));
        assert!(matches!(super::number(b"5               "), Err(NoNumber::NotANumber)));
        for text in ["", "\n", "  "] {
            assert!(matches!(super::number(text.as_bytes()), Err(NoNumber::Empty)), "{text:?}");
        }
        assert!(super::number(&[0xff]).is_err());
    }

    async fn until(state: &State, what: impl Fn(Option<u32>, Option<&str>) -> bool) {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let look = state.look();
            if what(look.allowed, look.problem.as_deref()) {
                return;
            }
            assert!(Instant::now() < end, "{look:?}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn a_file_is_followed_through_the_links_that_are_swapped_and_the_last_number_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let of = |name: &str| folder.path().join(name);
        for (version, text) in [("1", "5\n"), ("2", "2"), ("3", "")] {
            fs::create_dir(of(version)).expect("a folder");
            fs::write(of(version).join("allowed"), text).expect("a file");
        }
        let point_at = |version: &str| {
            symlink(of(version), of("new")).expect("a link");
            fs::rename(of("new"), of("now")).expect("a swap");
        };
        let state = State::new(String::new(), false);
        let following = tokio::spawn(follow(of("now").join("allowed"), Arc::clone(&state)));
        until(&state, |allowed, problem| allowed.is_none() && problem.is_some()).await;
        point_at("1");
        until(&state, |allowed, problem| (allowed, problem) == (Some(5), None)).await;
        point_at("2");
        until(&state, |allowed, problem| (allowed, problem) == (Some(2), None)).await;
        point_at("3");
        until(&state, |allowed, problem| {
            allowed == Some(2) && problem.is_some_and(|why| why.contains("empty"))
        })
        .await;
        fs::remove_file(of("now")).expect("a removal");
        until(&state, |allowed, problem| {
            allowed == Some(2) && problem.is_some_and(|why| why.contains("read"))
        })
        .await;
        following.abort();
    }

    #[test]
    fn what_is_no_file_is_not_opened() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(matches!(read(folder.path()), Err(NoNumber::NoFile)));
        assert!(matches!(read(&folder.path().join("none")), Err(NoNumber::Unreadable(_))));
    }
}
