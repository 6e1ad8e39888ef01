//! `poolbudget plan`: what the operator would do with manifests, without a cluster.
//!
//! In: manifests and what-ifs. Out: a table or a document, and an exit code. The same readers as for watch events turn
//! the manifests into the records of [`crate::cluster`], and [`crate::budget`] decides; nothing that is computed there
//! is computed here.

mod advice;
mod borrowed;
mod judge;
mod limit_from;
mod outcome;
mod schema;
mod show;
mod stage;
mod what_if;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::input;
use super::output::OutputArgs;
use super::render::{self, ColorArgs, Tone};
use limit_from::LimitFromArgs;
use outcome::Outcome;
use what_if::WhatIf;

pub(super) const ABOUT: &str = "Check without a cluster whether manifests fit their budgets

Reads budgets, workloads and autoscalers, and shows the sizes that the operator would grant. Objects of other kinds \
are skipped.

Exit codes: 0 everything fits, 1 something does not fit, 2 the input is wrong.";

pub(super) const EXAMPLES: &str = "Examples:
  poolbudget plan -f deploy/                                  all manifests in a folder
  helm template charts/shop | poolbudget plan -f -            a rendered chart
  poolbudget plan -f deploy/ --replicas api=8 --processes api=4   with other numbers
  poolbudget plan -f deploy/ --label api=main                 as if api had the label
  poolbudget plan -f deploy/ --limit 30 -o json               with another limit, as JSON
  poolbudget plan -f deploy/ --limit-from env:DATABASE_URL    with the limit that the database allows now";

#[derive(Args, Debug)]
pub(super) struct PlanArgs {
    /// A file, a folder (with its subfolders), or - for standard input; may be repeated
    #[arg(short = 'f', long = "filename", required = true, value_name = "FILE|DIR|-")]
    files: Vec<PathBuf>,
    /// Namespace of objects that do not set one
    #[arg(short, long, default_value = "default")]
    namespace: String,
    #[command(flatten)]
    what_if: WhatIf,
    #[command(flatten)]
    limit_from: LimitFromArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    color: ColorArgs,
}

/// Something does not fit.
const DOES_NOT_FIT: u8 = 1;
/// The input is wrong: the answer does not cover what could not be read.
const WRONG_INPUT: u8 = 2;

/// Plans, and reports the result as an exit code.
pub(super) fn plan(args: &PlanArgs) -> ExitCode {
    match answer(args) {
        Ok(code) => code,
        Err(error) => {
            super::complain(&error);
            ExitCode::from(WRONG_INPUT)
        }
    }
}

fn answer(args: &PlanArgs) -> anyhow::Result<ExitCode> {
    let sources = input::read(&args.files)?;
    let mut stage = stage::gather(&sources, &args.namespace);
    args.what_if.apply(&mut stage.objects)?;
    let source =
        args.limit_from.wanted().map(|budget| what_if::reads_from(&mut stage.objects, budget)).transpose()?;
    if let Some(found) = args.limit_from.read(source.flatten().as_ref())? {
        stage.limits = what_if::set_found(&mut stage.objects, &found)?;
    }
    let outcome = judge::judge(stage);
    if args.output.is_asked_for() {
        args.output.put(&outcome)?;
    } else {
        render::put(&show::table(&outcome, args.color.paint(&std::io::stdout())))?;
    }
    complain(&outcome, args.color);
    Ok(if !outcome.problems.is_empty() {
        ExitCode::from(WRONG_INPUT)
    } else if outcome.fits {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(DOES_NOT_FIT)
    })
}

/// Errors go to standard error, so the user sees them even if the table is redirected.
#[expect(clippy::print_stderr, reason = "a command speaks to people there")]
fn complain(outcome: &Outcome, color: ColorArgs) {
    let paint = color.paint(&std::io::stderr());
    for warning in &outcome.warnings {
        eprintln!("{} {warning}", paint.text(Tone::Warn, "warning:"));
    }
    for problem in &outcome.problems {
        eprintln!("{} {problem}", paint.text(Tone::Bad, "error:"));
    }
}
