//! The command line.
//!
//! In: arguments and environment. Out: one call each into the rest. It decides nothing.

mod client;
mod completion;
mod dashboard;
mod explain;
mod forget;
mod governor;
mod grant_secret;
mod inject;
mod input;
mod name;
mod output;
mod plan;
mod print;
mod process;
mod release;
pub mod render;
mod run;
mod slots;
mod status;
mod stranger;
mod trouble;

pub use explain::pods as explain_pods;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use tokio::runtime::Builder;

use crate::telemetry::log;

/// Keeps the database connection pools of Kubernetes pods within a budget.
#[derive(Parser, Debug)]
#[command(name = "poolbudget", version, about, long_about = None, propagate_version = true)]
#[command(after_help = "Examples:
  poolbudget plan -f deploy/                 check whether the manifests fit
  poolbudget status                          the budgets of your namespace
  poolbudget explain api-5d9c7b-x2x4x        why this pod has its size, or why it waits
  poolbudget crd | kubectl apply -f -        install the resource without the chart
  poolbudget run --http-address 127.0.0.1:8080   run as the user of your kubeconfig (see docs/commands.md)

Linked as kubectl-poolbudget in a folder of your PATH, it is `kubectl poolbudget` too.")]
pub struct Cli {
    #[command(flatten)]
    log: LogArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Logging")]
struct LogArgs {
    /// Log level: error, warn, info, debug, trace, or a list such as info,poolbudget=debug [default: info for run, governor
    /// and release, error for other commands]
    #[arg(long = "log", env = "POOLBUDGET_LOG", global = true, hide_env = true)]
    filter: Option<String>,
    /// Log format
    #[arg(long = "log-format", env = "POOLBUDGET_LOG_FORMAT", value_enum, default_value_t, global = true)]
    format: log::Format,
}

impl LogArgs {
    /// Starts logging; `level` is what is logged unless somebody wants something else.
    fn start(&self, level: &str) -> anyhow::Result<()> {
        log::start(self.filter.as_deref().unwrap_or(level), self.format)
    }
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run the operator
    Run(run::RunArgs),
    /// Show budgets: limit, shares, waiting pods, problems
    #[command(after_help = "Examples:
  poolbudget status                      all budgets of the namespace of your context
  poolbudget status main -n shop         one budget
  poolbudget status -A                   budgets of all namespaces
  poolbudget status main --watch         watch for changes, until Ctrl-C
  poolbudget status main -o json | jq .status.committed")]
    Status(status::StatusArgs),
    /// Explain why a pod has its size or why it waits, and what a workload gets
    #[command(after_help = "Examples:
  poolbudget explain api-5d9c7b-x2x4x        a pod: its size and why, or what it waits for
  poolbudget explain deploy/api -n shop      a workload: its share, its slots, its pods
  poolbudget explain pod api-5d9c7b-x2x4x -o yaml")]
    Explain(explain::ExplainArgs),
    /// Show all budgets in your browser, through a port-forward to the operator
    #[command(
        long_about = dashboard::ABOUT,
        after_help = "Examples:
  poolbudget dashboard                       open the page, until Ctrl-C
  poolbudget dashboard -n shop               with the budgets of a namespace
  poolbudget dashboard --port 8081 --no-open"
    )]
    Dashboard(dashboard::DashboardArgs),
    /// Release the connections that are still counted for pods that are gone
    #[command(
        long_about = "Release the connections that are still counted for pods that are gone.

When a pod vanishes and the operator did not see it end, its connections count until its node reports again, plus its \
grace period. Use this command if you know that the node is off or that the database has closed the connections. It \
cannot be undone: if something still runs, more connections than the limit can be open.",
        after_help = "Examples:
  poolbudget forget main --pod api-5d9c7b-x2x4x      one pod
  poolbudget forget main -n shop --node worker-3     all pods of a node that is off
  poolbudget forget main --all                       everything that is still counted"
    )]
    Forget(forget::ForgetArgs),
    /// Let the operator read one Secret, for a budget that reads its limit from a database
    #[command(
        long_about = grant_secret::ABOUT,
        after_help = "Examples:
  poolbudget grant-secret db -n shop               one Secret of a namespace
  poolbudget grant-secret db -n shop --print       as YAML, for a repository
  poolbudget grant-secret db -n shop --revoke      take it back"
    )]
    GrantSecret(grant_secret::GrantSecretArgs),
    /// Open every gate, so that poolbudget can be uninstalled
    #[command(long_about = "Open every gate, so that poolbudget can be uninstalled.

Deletes the policies or the webhook that gate pods, waits until new pods are created without a gate, and then gives every \
waiting pod the smallest size. The chart runs it before an uninstall.")]
    Release(release::ReleaseArgs),
    /// Hold the database connections of a pod within a number, as a sidecar of its app
    #[command(long_about = governor::ABOUT, after_help = governor::EXAMPLES)]
    Governor(governor::GovernorArgs),
    /// Check without a cluster whether manifests fit their budgets
    #[command(long_about = plan::ABOUT, after_help = plan::EXAMPLES)]
    Plan(plan::PlanArgs),
    /// Add the gate, env and label to the pod templates in manifests
    #[command(long_about = inject::ABOUT, after_help = inject::EXAMPLES)]
    Inject(inject::InjectArgs),
    /// Print the CustomResourceDefinition
    Crd(print::CrdArgs),
    /// Print the admission policies, or the webhook configurations
    Policies(print::PoliciesArgs),
    /// Print the page of the profiles
    #[command(hide = true)]
    Profiles,
    /// Print the version
    Version,
    /// Print a script that completes this command line in your shell
    #[command(after_help = "Examples:
  source <(poolbudget completion bash)                                    for this shell
  poolbudget completion bash > /etc/bash_completion.d/poolbudget          for all of bash
  poolbudget completion zsh > \"${fpath[1]}/_poolbudget\"
  poolbudget completion fish > ~/.config/fish/completions/poolbudget.fish")]
    Completion(completion::CompletionArgs),
}

impl Cli {
    /// Reads a command line, whose first word is the name under which the program was called.
    ///
    /// # Errors
    /// With what is wrong with it, or the help that was asked for.
    pub fn read(words: Vec<OsString>) -> Result<Self, clap::Error> {
        let command = name::called(Self::command(), words.first());
        let matches = command.try_get_matches_from(words)?;
        Self::from_arg_matches(&matches)
    }
}

/// Carries out a command line. Gives back the exit code.
///
/// # Errors
/// With a sentence that says what was attempted.
pub fn start(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Plan(args) => return Ok(plan::plan(&args)),
        Command::Inject(args) => return Ok(inject::inject(&args)),
        Command::Crd(args) => print::crd(&args),
        Command::Policies(args) => print::policies(&args),
        Command::Profiles => print::profiles(),
        Command::Version => print::version(),
        Command::Completion(args) => completion::completion(&args, Cli::command()),
        Command::Run(args) => {
            cli.log.start("info")?;
            in_runtime(run::run(args))
        }
        Command::Governor(args) => {
            cli.log.start("info")?;
            in_runtime(governor::governor(args))
        }
        Command::Release(args) => {
            cli.log.start("info")?;
            in_runtime(release::release(args))
        }
        Command::Explain(args) => {
            cli.log.start("error")?;
            in_runtime(explain::explain(args))
        }
        Command::Dashboard(args) => {
            cli.log.start("error")?;
            in_runtime(dashboard::dashboard(args))
        }
        Command::Forget(args) => {
            cli.log.start("error")?;
            in_runtime(forget::forget(args))
        }
        Command::GrantSecret(args) => {
            cli.log.start("error")?;
            in_runtime(grant_secret::grant_secret(args))
        }
        Command::Status(args) => {
            cli.log.start("error")?;
            in_runtime(status::status(args))
        }
    }?;
    Ok(ExitCode::SUCCESS)
}

/// Reports on standard error why a command was not carried out.
#[expect(clippy::print_stderr, reason = "logging may not have started")]
pub fn complain(error: &anyhow::Error) {
    eprintln!("poolbudget: {error:#}");
}

fn in_runtime(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(work)
}
