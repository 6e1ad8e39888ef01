//! Runs the program.

use std::io::Write;
use std::process::{Command, Stdio};

/// What came of it.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// A budget with 13 usable connections, to be followed by other documents.
pub const BUDGET: &str = "apiVersion: poolbudget.dev/v1beta1
kind: DbConnectionBudget
metadata: {name: main}
spec: {limit: {connections: 15}, reserved: 2}
---
";

/// `plan` of what is on standard input.
pub fn plan(input: &str, arguments: &[&str]) -> Ran {
    poolbudget(&[&["plan", "-f", "-"], arguments].concat(), input)
}

/// `inject` into what is on standard input.
pub fn inject(input: &str, arguments: &[&str]) -> Ran {
    poolbudget(&[&["inject", "-f", "-"], arguments].concat(), input)
}

/// Both, of these manifests behind [`BUDGET`].
pub fn both(manifests: &str) -> [Ran; 2] {
    let input = format!("{BUDGET}{manifests}");
    [plan(&input, &[]), inject(&input, &[])]
}

/// Runs `poolbudget` with these arguments, in the root of the repository, and with `input` on standard input.
pub fn poolbudget(arguments: &[&str], input: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_poolbudget"))
        .args(arguments)
        .env_remove("NO_COLOR")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // The inputs are smaller than a pipe, and a program that does not read them has said why.
    let _ = child.stdin.take().expect("its input").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("the program ends");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Ran { code: output.status.code().expect("a code"), out: text(output.stdout), err: text(output.stderr) }
}
