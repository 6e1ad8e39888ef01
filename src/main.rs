//! The `poolbudget` binary: parse, start logging, run, turn an error into an exit code.

use std::process::ExitCode;

use clap::Parser;
use poolbudget::commands::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match poolbudget::commands::start(cli) {
        Ok(code) => code,
        Err(error) => {
            poolbudget::commands::complain(&error);
            ExitCode::FAILURE
        }
    }
}
