//! What a program that runs for long asks of its operating system.
//!
//! In: signals and limits. Out: a token that the first signal cancels; the second one ends the process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The memory of this process holds tokens and, for moments, secrets of others.
pub(super) fn without_core_dumps() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "a crash may write a core dump");
    }
}

/// As many open sockets as the operating system lets this process have.
pub(super) fn with_all_file_handles() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, "there may be too few file handles for all clients");
    }
}

/// Cancels `stop` at the first signal to end.
///
/// # Errors
/// When signals cannot be received.
pub(super) fn on_signal(stop: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        loop {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            if stop.is_cancelled() {
                tracing::warn!(signal = name, "ending at once");
                std::process::exit(1);
            }
            tracing::info!(signal = name, "ending when running work is done");
            stop.cancel();
        }
    });
    Ok(())
}
