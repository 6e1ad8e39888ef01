//! The name under which the program was called: as `kubectl-poolbudget` it is a plugin of kubectl, and its help shows
//! what its user types.

use std::ffi::OsString;
use std::path::Path;

use clap::Command;

/// The name that kubectl looks for when it gets the command `poolbudget`.
const PLUGIN: &str = "kubectl-poolbudget";

/// The command as its user calls it. `program` is the first word of the command line.
pub(super) fn called(command: Command, program: Option<&OsString>) -> Command {
    let is_plugin = program.and_then(|path| Path::new(path).file_stem()).is_some_and(|name| name == PLUGIN);
    if is_plugin { as_plugin(command.bin_name("kubectl poolbudget")) } else { command }
}

/// Examples begin with two spaces and the program, or have it behind a pipe.
fn as_plugin(command: Command) -> Command {
    let examples = command.get_after_help().map(ToString::to_string);
    let command = match examples {
        Some(text) => command.after_help(text.replace("  poolbudget ", "  kubectl poolbudget ")),
        None => command,
    };
    command.mut_subcommands(as_plugin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Cli;

    fn help(program: &str, of: &str) -> String {
        let words = [program, of, "--help"].map(OsString::from).to_vec();
        Cli::read(words).expect_err("help").to_string()
    }

    #[test]
    fn a_plugin_is_called_through_kubectl() {
        let said = help("/usr/local/bin/kubectl-poolbudget", "status");
        assert!(said.contains("Usage: kubectl poolbudget status [OPTIONS] [NAME]"), "{said}");
        assert!(said.contains("\n  kubectl poolbudget status main -n shop"), "{said}");
        assert!(!said.contains("\n  poolbudget"), "{said}");
    }

    #[test]
    fn under_its_own_name_it_is_called_by_that() {
        let said = help("./poolbudget", "status");
        assert!(said.contains("Usage: poolbudget status [OPTIONS] [NAME]"), "{said}");
        assert!(said.contains("\n  poolbudget status main -n shop"), "{said}");
    }
}
