//! Logs as text or JSON, to standard error.

use std::io::{IsTerminal, stderr};

use clap::ValueEnum;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

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
    let log = tracing_subscriber::registry().with(targets(filter)?);
    let lines = layer().with_writer(stderr);
    let started = match format {
        Format::Text => log.with(lines.with_ansi(stderr().is_terminal())).try_init(),
        Format::Json => log.with(lines.json().flatten_event(true)).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("cannot start logging: {error}"))
}

/// The client logs each failed request as an error; the controller itself reports failures, once.
fn targets(filter: &str) -> anyhow::Result<Targets> {
    let stated = filter.split(',').filter(|directive| !directive.trim().is_empty());
    let directives: Vec<&str> = stated.chain(["kube_client=off", "kube_runtime=off"]).collect();
    Ok(directives.join(",").parse()?)
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::filter::LevelFilter;

    use super::*;

    #[test]
    fn a_filter_is_a_level_or_levels_by_module_and_the_client_is_never_heard() {
        for (filter, others, leader) in [
            ("info", LevelFilter::INFO, LevelFilter::INFO),
            ("DEBUG", LevelFilter::DEBUG, LevelFilter::DEBUG),
            ("off", LevelFilter::OFF, LevelFilter::OFF),
            ("warn,poolbudget::controller=trace", LevelFilter::WARN, LevelFilter::TRACE),
            ("info,", LevelFilter::INFO, LevelFilter::INFO),
            ("", LevelFilter::OFF, LevelFilter::OFF),
        ] {
            let targets = targets(filter).unwrap();
            let most = |target: &str| {
                let heard = |level: &tracing::Level| targets.would_enable(target, level);
                let levels = [
                    tracing::Level::TRACE,
                    tracing::Level::DEBUG,
                    tracing::Level::INFO,
                    tracing::Level::WARN,
                    tracing::Level::ERROR,
                ];
                levels.into_iter().find(heard).map_or(LevelFilter::OFF, LevelFilter::from_level)
            };
            assert_eq!([most("hyper"), most("poolbudget::controller::lease")], [others, leader], "{filter}");
            assert_eq!(
                [most("kube_client::client"), most("kube_runtime")],
                [LevelFilter::OFF; 2],
                "{filter}"
            );
        }
        assert!(targets("poolbudget=loud").is_err());
    }
}
