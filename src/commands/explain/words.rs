//! An explanation: the state of something in a word, in a sentence, and point by point.
//!
//! In: the parts. Out: text for people, or a document for programs. Forbidden here: finding anything out.

use serde::Serialize;

use crate::budget::amount::{Connections, Instances};
use crate::commands::render::{Align, Cell, Paint, Table, Tone, paragraph};

/// The state of something in its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum State {
    /// A workload that shares a budget.
    Governed,
    /// No budget governs it.
    NotGoverned,
    /// A pod that waits at the gate.
    Waiting,
    /// A pod with a decided grant that is on its way.
    BeingGranted,
    /// A pod that runs with a grant.
    Granted,
    /// A pod that runs without one.
    Foreign,
    /// A pod in a mode that sizes no pods: what it may hold is known but not limited.
    Counted,
    /// A pod that is being deleted and still holds its connections.
    Draining,
    /// A pod that no longer holds anything.
    Ended,
}

/// An explanation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Explanation {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) namespace: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) budget: Option<String>,
    pub(super) state: State,
    /// The answer in a sentence.
    pub(super) summary: String,
    /// The rest, point by point.
    pub(super) points: Vec<Point>,
    /// The pods of a workload.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) pods: Vec<PodLine>,
}

/// One point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Point {
    pub(super) about: &'static str,
    pub(super) text: String,
}

/// One pod of a workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct PodLine {
    pub(super) name: String,
    pub(super) state: State,
    pub(super) holds: String,
    pub(super) note: String,
}

impl State {
    const fn tone(self) -> Tone {
        match self {
            Self::Granted | Self::Governed => Tone::Good,
            Self::Waiting | Self::BeingGranted | Self::Counted | Self::Draining => Tone::Warn,
            Self::Foreign => Tone::Bad,
            Self::NotGoverned | Self::Ended => Tone::Dim,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Governed => "governed",
            Self::NotGoverned => "not governed",
            Self::Waiting => "waits",
            Self::BeingGranted => "granting",
            Self::Granted => "granted",
            Self::Counted => "counted",
            Self::Foreign => "foreign",
            Self::Draining => "draining",
            Self::Ended => "ended",
        }
    }
}

impl Explanation {
    /// An explanation without points.
    pub(super) fn new(kind: &str, name: &str, namespace: &str, state: State, summary: String) -> Self {
        Self {
            kind: kind.to_owned(),
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            budget: None,
            state,
            summary,
            points: Vec::new(),
            pods: Vec::new(),
        }
    }

    /// Adds a point.
    pub(super) fn point(&mut self, about: &'static str, text: impl Into<String>) {
        self.points.push(Point { about, text: text.into() });
    }

    /// Puts a point before all others.
    pub(super) fn first_point(&mut self, about: &'static str, text: impl Into<String>) {
        self.points.insert(0, Point { about, text: text.into() });
    }

    /// The text for people.
    pub(super) fn render(&self, paint: Paint) -> String {
        let title = format!("{}/{} in namespace {}", self.kind, self.name, self.namespace);
        let mut text = format!("{}\n", paint.text(Tone::Strong, &title));
        let word = self.state.word();
        text.push_str(&paragraph(&paint.text(self.state.tone(), word), word.len(), &self.summary));
        for Point { about, text: point } in &self.points {
            text.push_str(&paragraph(&paint.text(Tone::Dim, about), about.len(), point));
        }
        if !self.pods.is_empty() {
            text.push_str(&self.table().render(paint));
        }
        text
    }

    fn table(&self) -> Table {
        let mut table = Table::new(&[
            ("POD", Align::Left),
            ("STATE", Align::Left),
            ("HOLDS", Align::Right),
            ("", Align::Left),
        ]);
        for PodLine { name, state, holds, note } in &self.pods {
            let state = Cell::toned(state.word(), state.tone());
            table.row([name.as_str().into(), state, holds.as_str().into(), note.as_str().into()]);
        }
        table
    }
}

/// A number with its noun in the right form.
pub(super) fn count(n: impl Into<u64>, noun: &str) -> String {
    match n.into() {
        1 => format!("1 {noun}"),
        n => format!("{n} {noun}s"),
    }
}

/// `1 + 1 = 2 connections × 4 processes × 2 engines = 16`; connections beside the pool are the third part of the first
/// sum.
pub(super) fn product([pool, overflow, beside]: [u64; 3], processes: u32, engines: u32) -> String {
    let size = pool.saturating_add(overflow).saturating_add(beside);
    let bill = Connections::new(size).per_pod(Instances::of(processes, engines));
    let beside = if beside > 0 { format!(" + {beside} beside the pool") } else { String::new() };
    let mut text = format!("{pool} + {overflow}{beside} = {}", count(size, "connection"));
    for (factor, noun) in [(processes, "processes"), (engines, "engines")] {
        if factor > 1 {
            text.push_str(&format!(" × {factor} {noun}"));
        }
    }
    if bill.get() != size {
        text.push_str(&format!(" = {bill}"));
    }
    text
}
