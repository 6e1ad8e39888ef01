//! `poolbudget inject`: writes into pod templates what admission would write into their pods.
//!
//! In: manifests. Out: the same manifests, with the label, the scheduling gate and the env that reads the grant in the
//! template of each labelled workload. A document without changes comes out byte for byte; a changed one is written
//! anew, without its comments. Or only the changes, as a patch. Running it twice gives the same as once.

mod notes;
mod patch;
pub(super) mod template;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::input::{self, Document, Loans, Object};
use super::render::{self, ColorArgs, Tone};

pub(super) const ABOUT: &str = "Add the gate, env and label to the pod templates in manifests

For clusters that cannot run poolbudget's policies or its webhook. Adds to the pod template of each workload with the \
label poolbudget.dev/budget what admission would add to its pods, and prints the manifests. Documents that change keep \
their values but lose their comments and field order. With --patch, the manifests stay as they are and kustomize applies \
the changes. Injecting twice gives the same result as injecting once.

Exit codes: 0 the manifests are printed, 2 the input is wrong and nothing is printed.";

pub(super) const EXAMPLES: &str = "Examples:
  poolbudget inject -f deployment.yaml | kubectl apply -f -
  poolbudget inject -f deployment.yaml --budget main > governed.yaml   add the label too
  helm template charts/shop | poolbudget inject -f - | kubectl apply -f -
  poolbudget inject -f base/ --patch > poolbudget/kustomization.yaml   a component for kustomize";

#[derive(Args, Debug)]
pub(super) struct InjectArgs {
    /// A file, a folder (with its subfolders), or - for standard input; may be repeated
    #[arg(short = 'f', long = "filename", required = true, value_name = "FILE|DIR|-")]
    files: Vec<PathBuf>,
    /// Budget for workloads without the label; without this flag they are left alone
    #[arg(long, value_name = "NAME")]
    budget: Option<String>,
    /// Print a kustomize Component with a JSON patch for each workload, instead of the manifests
    #[arg(long)]
    patch: bool,
    #[command(flatten)]
    color: ColorArgs,
}

/// The input is wrong.
const WRONG_INPUT: u8 = 2;

/// What was done.
#[derive(Default)]
struct Report {
    /// The workloads that take the pod template of another object.
    loans: Loans,
    text: String,
    /// What changes, object by object.
    patches: Vec<Value>,
    /// Whether any object has the label of a budget.
    labelled: bool,
    /// What the user should know.
    notes: Vec<String>,
    /// Why nothing is written.
    problems: Vec<String>,
}

/// Injects, and reports the result as an exit code.
pub(super) fn inject(args: &InjectArgs) -> ExitCode {
    match answer(args) {
        Ok(code) => code,
        Err(error) => {
            super::complain(&error);
            ExitCode::from(WRONG_INPUT)
        }
    }
}

fn answer(args: &InjectArgs) -> anyhow::Result<ExitCode> {
    let sources = input::read(&args.files)?;
    let all: Vec<Object> = sources
        .iter()
        .flat_map(input::documents)
        // The loop below reports what cannot be read.
        .flat_map(|document| input::objects(&document).unwrap_or_default())
        .collect();
    let mut report = Report { loans: Loans::of(&all), ..Report::default() };
    for source in &sources {
        report.separate(&source.text);
        for document in input::documents(source) {
            report.add(&document, args);
        }
    }
    if !report.labelled && report.problems.is_empty() {
        report
            .notes
            .push("no workload has the label poolbudget.dev/budget: to add it, pass --budget NAME".into());
    }
    report.complain(args.color);
    if report.problems.is_empty() {
        let text = if args.patch { patch::component(&report.patches) } else { report.text };
        render::put(&text)?;
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::from(WRONG_INPUT))
}

impl Report {
    /// Separates the last document of a file from the first of the next one.
    fn separate(&mut self, next: &str) {
        if self.text.is_empty() {
            return;
        }
        if !self.text.ends_with('\n') {
            self.text.push('\n');
        }
        if !next.starts_with("---") {
            self.text.push_str("---\n");
        }
    }

    fn add(&mut self, document: &Document<'_>, args: &InjectArgs) {
        let old = match input::objects(document).and_then(|_| document.value()) {
            Ok(value) => value,
            Err(problem) => return self.problems.push(problem),
        };
        self.notes.extend(document.repeated());
        let mut new = old.clone();
        let told = input::each_item(&mut new, &mut |item| {
            let old = Object { place: document.place.clone(), value: item.take() };
            let mut object = old.clone();
            let injected = template::inject(&mut object, args.budget.as_deref(), &self.loans);
            let patched = injected.and_then(|injected| {
                self.labelled |= injected.labelled;
                self.notes.extend(injected.notes);
                match injected.template.filter(|_| args.patch && old.value != object.value) {
                    Some(template) => patch::of(&old, &object, template).map(Some),
                    None => Ok(None),
                }
            });
            *item = object.value;
            match patched {
                Ok(patch) => self.patches.extend(patch),
                Err(problem) => self.problems.push(format!("{}: {problem}", document.place)),
            }
        });
        self.problems.extend(told.err().map(|why| format!("{}: {why}", document.place)));
        let text = if new == old { document.text.to_owned() } else { written_anew(document.text, &new) };
        self.text.push_str(&text);
    }

    /// Standard output is reserved for the manifests.
    #[expect(clippy::print_stderr, reason = "a command speaks to people there")]
    fn complain(&self, color: ColorArgs) {
        let paint = color.paint(&std::io::stderr());
        // What is not written needs no note.
        for note in self.notes.iter().filter(|_| self.problems.is_empty()) {
            eprintln!("{} {note}", paint.text(Tone::Warn, "note:"));
        }
        for problem in &self.problems {
            eprintln!("{} {problem}", paint.text(Tone::Bad, "error:"));
        }
    }
}

/// The document with nothing but its value: as JSON if it was JSON.
fn written_anew(text: &str, value: &Value) -> String {
    if serde_json::from_str::<IgnoredAny>(text).is_ok() {
        return serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string()) + "\n";
    }
    let marker = if text.trim_start().starts_with("---") { "---\n" } else { "" };
    let written = serde_yaml::to_string(value).unwrap_or_else(|_| value.to_string());
    format!("{marker}{}\n", written.trim_end())
}
