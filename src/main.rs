//! The `poolbudget` binary: parse, start logging, run, turn an error into an exit code.

use std::process::ExitCode;

use poolbudget::commands::Cli;

fn main() -> ExitCode {
    let cli = Cli::read(std::env::args_os().collect()).unwrap_or_else(|error| error.exit());
    match poolbudget::commands::start(cli) {
        Ok(code) => code,
        Err(error) => {
            poolbudget::commands::complain(&error);
            ExitCode::FAILURE
        }
    }
}
