//! `poolbudget completion SHELL`: prints what a shell needs to complete the command line.

use clap::{Args, Command};
use clap_complete::{Shell, generate};

use super::render;

#[derive(Args, Debug)]
pub(super) struct CompletionArgs {
    /// Shell to print the script for
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn completion(args: &CompletionArgs, mut command: Command) -> anyhow::Result<()> {
    let mut script = Vec::new();
    generate(args.shell, &mut command, "poolbudget", &mut script);
    Ok(render::put(&String::from_utf8(script)?)?)
}
