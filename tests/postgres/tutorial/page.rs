//! A page with commands, read as the test runs it.
//!
//! In: Markdown. Out: its sections with their fenced blocks. The words after a fence say what a block is: `console run`
//! is run, `console by-hand` needs what a test has not got, and `yaml PATH` is a part of that file. Other fences are
//! refused, so that no command slips in that nobody runs.

use anyhow::{Context, Result, bail};

/// A section: what stands under one heading.
#[derive(Debug, Default)]
pub struct Section {
    pub title: String,
    pub blocks: Vec<Block>,
}

/// A fenced block.
#[derive(Debug, PartialEq, Eq)]
pub enum Block {
    /// Commands that are run, each with the output that is shown.
    Run(Vec<Step>),
    /// Commands that need what a test has not got.
    ByHand(Vec<Step>),
    /// A part of a file.
    File { path: String, text: String },
}

/// A command and the lines that are shown after it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Step {
    pub command: String,
    pub shown: Vec<String>,
}

/// The sections of a page. What stands before the first `##` heading has no title.
pub fn read(page: &str) -> Result<Vec<Section>> {
    let mut sections = vec![Section::default()];
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(title) = line.strip_prefix("## ") {
            sections.push(Section { title: title.to_owned(), blocks: Vec::new() });
        } else if let Some(kind) = line.trim_start().strip_prefix("```") {
            let inside: Vec<&str> = lines.by_ref().take_while(|line| line.trim_start() != "```").collect();
            let section = sections.last_mut().context("there is a section")?;
            section.blocks.push(block(kind, &inside).with_context(|| format!("the block {line}"))?);
        }
    }
    Ok(sections)
}

fn block(kind: &str, inside: &[&str]) -> Result<Block> {
    Ok(match kind.split_once(' ') {
        Some(("console", "run")) => Block::Run(steps(inside)?),
        Some(("console", "by-hand")) => Block::ByHand(steps(inside)?),
        Some(("yaml", path)) => Block::File { path: path.to_owned(), text: inside.join("\n") },
        _ => bail!("neither `console run` nor `console by-hand` nor `yaml PATH`"),
    })
}

fn steps(lines: &[&str]) -> Result<Vec<Step>> {
    let mut steps = Vec::<Step>::new();
    let mut continues = false;
    for line in lines {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { command: command.to_owned(), shown: Vec::new() });
        } else {
            let step = steps.last_mut().context("it begins with a command")?;
            if continues {
                step.command.push('\n');
                step.command.push_str(line);
            } else {
                step.shown.push((*line).to_owned());
            }
        }
        continues = line.ends_with('\\');
    }
    Ok(steps)
}

/// Whether a command said what is shown. `…` stands for anything in a line; as a line of its own, for any lines. Spaces
/// between words do not count. Nothing shown means that nothing is promised.
pub fn says(shown: &[String], said: &str) -> bool {
    let plain = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown: Vec<String> = shown.iter().map(|line| plain(line)).filter(|line| !line.is_empty()).collect();
    let said: Vec<String> = said.lines().map(plain).filter(|line| !line.is_empty()).collect();
    shown.is_empty() || all(&shown, &said)
}

fn all(shown: &[String], said: &[String]) -> bool {
    match shown.split_first() {
        None => said.is_empty(),
        Some((line, rest)) if line == "…" => (0..=said.len()).any(|skipped| all(rest, &said[skipped..])),
        Some((line, rest)) => {
            said.split_first().is_some_and(|(first, more)| fits(line, first) && all(rest, more))
        }
    }
}

/// Whether a line is the pattern, with any text for each `…`.
fn fits(pattern: &str, line: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('…') else { return pattern == line };
    let Some(left) = line.strip_prefix(start) else { return false };
    (0..=left.len()).filter(|at| left.is_char_boundary(*at)).any(|at| fits(rest, &left[at..]))
}

#[test]
fn a_page_is_read_as_it_is_written() {
    let page = "# Title\n\n## One\n\n```console run\n$ a b \\\n    c\nsaid\n$ d\n```\ntext\n```yaml x/y.yaml\nk: v\n```\n\
                ## Two\n```console by-hand\n$ docker build .\n```\n";
    let sections = read(page).unwrap();
    let titles: Vec<&str> = sections.iter().map(|section| section.title.as_str()).collect();
    assert_eq!(titles, ["", "One", "Two"]);
    let step = |command: &str, shown: &[&str]| Step {
        command: command.to_owned(),
        shown: shown.iter().map(|line| (*line).to_owned()).collect(),
    };
    assert_eq!(sections[1].blocks[0], Block::Run(vec![step("a b \\\n    c", &["said"]), step("d", &[])]));
    assert_eq!(sections[1].blocks[1], Block::File { path: "x/y.yaml".to_owned(), text: "k: v".to_owned() });
    assert_eq!(sections[2].blocks, [Block::ByHand(vec![step("docker build .", &[])])]);
    assert!(read("```console\n$ a\n```\n").is_err());
    assert!(read("```console run\nsaid\n```\n").is_err());
}

#[test]
fn what_is_shown_is_held_against_all_that_was_said() {
    let says =
        |shown: &str, said: &str| says(&shown.lines().map(ToOwned::to_owned).collect::<Vec<_>>(), said);
    assert!(says("a  b", "a b\n\n"));
    assert!(!says("a", "a\nb"), "all of it");
    assert!(!says("a\nb", "a"));
    assert!(says("main  15 …", "main   15      4   0"));
    assert!(says("200: …, 503: …", "200: 812, 503: 37"));
    assert!(!says("200: …, 503: …", "200: 812"));
    assert!(says("…\ndone", "one\ntwo\ndone") && says("…\ndone", "done") && !says("…\ndone", "one\ntwo"));
}
