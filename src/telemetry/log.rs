//! Logs as text or JSON, to standard error.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How logs are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One line for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Starts logging. `filter` is a level or a list such as `info,poolbudget=debug`.
///
/// # Errors
/// When `filter` cannot be read, or logging was started before.
pub fn start(filter: &str, format: Format) -> anyhow::Result<()> {
    // The client logs each failed request as an error; the controller reports failures itself, once.
    let filter = EnvFilter::try_new(format!("{filter},kube_client=off,kube_runtime=off"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        Format::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("cannot start logging: {error}"))
}
