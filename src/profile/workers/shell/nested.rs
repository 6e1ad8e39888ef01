//! Texts within a text: process and command substitutions, here-documents.
//!
//! In: the text between brackets, or below a line. Out: its commands, as a compound of the surrounding text.

use super::super::word::Word;
use super::{Command, DEEPEST, Reader, characters};

/// A here-document that begins below the line.
pub(super) struct Document {
    end: String,
    /// Whether leading tabs of its lines are dropped.
    tabs: bool,
}

impl Reader<'_, '_> {
    /// `>(command)` and `<(command)`: it runs beside the command that uses it as a file.
    pub(super) fn process(&mut self) {
        let text = self.balanced('(', ')');
        self.within(&text, true);
        self.add(vec![Word { text: "/dev/fd/63".to_owned(), sure: false }], false);
    }

    /// Reads the commands of a text that is a part of this one, in the middle of a command.
    pub(super) fn within(&mut self, text: &str, beside: bool) {
        if self.depth >= DEEPEST {
            self.left = 0;
            return;
        }
        let chars = std::mem::replace(&mut self.chars, characters(text));
        let command = std::mem::take(&mut self.command);
        let word = self.word.take();
        let state = (self.quoted, self.dropping, self.lists.coprocess, self.substituted);
        let documents = std::mem::take(&mut self.documents);
        (self.quoted, self.dropping, self.lists.coprocess, self.substituted) = (false, false, false, true);
        self.depth += 1;
        let defines = self.lists.defines.take();
        self.lists.open("(");
        let inside = self.lists.depth();
        let floor = std::mem::replace(&mut self.lists.floor, inside);
        self.read();
        self.lists.floor = floor;
        self.lists.close_to(inside.saturating_sub(1));
        if beside {
            self.lists.pipe();
        }
        self.depth -= 1;
        (self.chars, self.command, self.word, self.documents) = (chars, command, word, documents);
        (self.quoted, self.dropping, self.lists.coprocess, self.substituted) = state;
        self.lists.defines = defines;
    }

    /// `<<END`: the word that ends a document that begins below the line.
    pub(super) fn announce(&mut self, tabs: bool) {
        while self.chars.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
        let mut end = String::new();
        while let Some(c) = self.chars.next_if(|c| !c.is_whitespace() && !";&|<>()".contains(*c)) {
            if !matches!(c, '\'' | '"' | '\\') {
                end.push(c);
            }
        }
        self.documents.push(Document { end, tabs });
    }

    /// The documents that begin here. Their reader may run them; `beside` is whether that keeps running.
    pub(super) fn take_documents(&mut self, beside: bool) {
        for document in std::mem::take(&mut self.documents) {
            let mut text = String::new();
            while self.chars.peek().is_some() {
                let mut line = String::new();
                while let Some(c) = self.chars.next_if(|c| *c != '\n') {
                    line.push(c);
                }
                self.chars.next();
                let own = if document.tabs { line.trim_start_matches('\t') } else { &line };
                if own == document.end {
                    break;
                }
                text.push_str(own);
                text.push('\n');
            }
            self.within(&text, beside);
        }
    }

    /// A command of this text, or of a text within it.
    pub(super) fn finished(&mut self) -> Command {
        let within = (self.lists.runs_later()).then_some(self.began);
        let command = std::mem::take(&mut self.command);
        let when = super::When { after: self.set.count(), within };
        Command { when, substituted: self.substituted, fed: !self.documents.is_empty(), ..command }
    }
}
