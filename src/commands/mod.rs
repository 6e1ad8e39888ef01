//! The command line.
//!
//! In: arguments and environment. Out: one call each into the rest. It decides nothing.

mod client;
mod input;
mod plan;
mod print;
mod release;
pub mod render;
mod run;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tokio::runtime::Builder;

use crate::telemetry::log;

/// Keeps the database connection pools of Kubernetes pods inside a budget.
#[derive(Parser, Debug)]
#[command(name = "poolbudget", version, about, long_about = None, propagate_version = true)]
#[command(after_help = "Examples:
  poolbudget plan -f deploy/                 does it fit?
  poolbudget crd | kubectl apply -f -        install the resource without the chart
  poolbudget policies --namespace poolbudget-system | kubectl apply -f -
  poolbudget run --http-address 127.0.0.1:8080   run against the cluster of your kubeconfig")]
pub struct Cli {
    #[command(flatten)]
    log: LogArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args, Debug)]
struct LogArgs {
    /// What is logged: error, warn, info, debug, trace, or a list such as info,poolbudget=debug
    #[arg(long = "log", env = "POOLBUDGET_LOG", default_value = "info", global = true)]
    filter: String,
    /// How logs are written
    #[arg(long = "log-format", env = "POOLBUDGET_LOG_FORMAT", value_enum, default_value_t, global = true)]
    format: log::Format,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run the operator
    Run(run::RunArgs),
    /// Open every gate, so that poolbudget can be uninstalled
    #[command(long_about = "Open every gate, so that poolbudget can be uninstalled.

Takes the policies that gate pods out of force, waits until pods are born without a gate, and then gives every
waiting pod the smallest size. The chart runs it before an uninstall.")]
    Release(release::ReleaseArgs),
    #[command(long_about = plan::ABOUT, after_help = plan::EXAMPLES)]
    /// Say from manifests whether the connections of a budget suffice
    Plan(plan::PlanArgs),
    /// Print the CustomResourceDefinition
    Crd(print::CrdArgs),
    /// Print the admission policies
    Policies(print::PoliciesArgs),
    /// Print the version
    Version,
}

/// Carries out a command line. Gives back the exit code.
///
/// # Errors
/// With a sentence that says what was attempted.
pub fn start(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Plan(args) => return Ok(plan::plan(&args)),
        Command::Crd(args) => print::crd(&args),
        Command::Policies(args) => print::policies(&args),
        Command::Version => print::version(),
        Command::Run(args) => {
            log::start(&cli.log.filter, cli.log.format)?;
            in_runtime(run::run(args))
        }
        Command::Release(args) => {
            log::start(&cli.log.filter, cli.log.format)?;
            in_runtime(release::release(args))
        }
    }?;
    Ok(ExitCode::SUCCESS)
}

/// Says on standard error why a command was not carried out.
#[expect(clippy::print_stderr, reason = "logging may not have started")]
pub fn complain(error: &anyhow::Error) {
    eprintln!("poolbudget: {error:#}");
}

fn in_runtime(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(work)
}
