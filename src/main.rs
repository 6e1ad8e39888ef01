//! The `poolbudget` binary: parse, start logging, run, turn an error into an exit code.

fn main() {}
