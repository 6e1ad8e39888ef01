//! What runs at the same time in the text of a shell.
//!
//! In: the [`Step`]s of a text, its variables. Out: what was reached. Commands in a list or a compound run in turn, or
//! beside what follows; a function runs where it is called, wherever the text defines it. Each body is read once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use super::Found;
use super::count::shown;
use super::lists::Step;
use super::reach::{Left, Reached, STDIN, overlaid, reach, wrapped};
use super::shell::{self, Command, Sets};
use super::word::{Variables, Word};

/// The functions of a text, and of the surrounding texts.
pub(super) trait Functions {
    /// What a call of this one runs; none if there is no such function.
    fn call(&self, name: &str, left: Left<'_>) -> Option<Reached>;
}

/// What runs in a list or a compound: what runs at the same time adds up; of what runs in turn, the largest counts.
#[derive(Default)]
struct Together {
    /// What keeps running.
    beside: Option<Found>,
    most: Option<Found>,
    /// What runs alone and is unknown.
    strange: Option<Found>,
    /// The last of those.
    other: Option<Reached>,
}

impl Together {
    fn add(&mut self, mut found: Found, beside: bool, looped: bool) {
        let goes_on = beside || found.goes_on;
        if goes_on && looped {
            let why = "it is started in a loop an unknown number of times".to_owned();
            found = Found { processes: found.processes, strange: found.strange, ..Found::unknown(why) };
        }
        if found.strange && !goes_on && self.beside.is_none() {
            self.strange = Some(larger(self.strange.take(), found));
            return;
        }
        let strange = found.strange;
        let together = found.and(self.beside.clone());
        if goes_on {
            self.beside = Some(together.clone());
        }
        self.most = Some(match self.most.take() {
            // An unknown command runs once and then ends.
            Some(most) if strange && !goes_on => larger(Some(most), together),
            Some(most) => most.or(together),
            None => together,
        });
    }

    /// A script may run anything; of unknown programs, the last one is the app.
    fn stands_for(&mut self, other: Reached) {
        if !matches!(self.other, Some(Reached::Script(_))) {
            self.other = Some(other);
        }
    }

    fn whole(self) -> Whole {
        let goes_on = self.beside.is_some();
        let found = self.most.or(self.strange);
        Whole { found: found.map(|found| Found { goes_on, ..found }), other: self.other }
    }
}

/// The result for a list or a compound.
struct Whole {
    found: Option<Found>,
    other: Option<Reached>,
}

fn larger(one: Option<Found>, other: Found) -> Found {
    match one {
        Some(one) if one.processes >= other.processes => one,
        _ => other,
    }
}

/// What is known of the calls of a function.
#[derive(Clone)]
enum Known {
    /// It is being read.
    Begun,
    /// The result.
    Is(Reached),
}

/// A text.
struct Text<'a, 'v> {
    steps: &'a [Step],
    sets: &'a Sets,
    variables: &'a Variables<'v>,
    around: Option<&'a dyn Functions>,
    /// The bodies of each function.
    bodies: BTreeMap<&'a str, Vec<Range<usize>>>,
    /// Where bodies begin: their end, and their names.
    begins: BTreeMap<usize, (usize, &'a str)>,
    known: RefCell<BTreeMap<String, Known>>,
}

/// The text of a shell.
pub(super) fn in_text(text: &str, positional: &[Word], variables: &Variables<'_>, left: Left<'_>) -> Reached {
    if !left.take(text.len()) {
        return Reached::TooLong;
    }
    let Some((steps, sets)) = shell::commands(text, variables, positional) else {
        return Reached::TooLong;
    };
    let mut text = Text {
        steps: &steps,
        sets: &sets,
        variables,
        around: left.functions,
        bodies: BTreeMap::new(),
        begins: BTreeMap::new(),
        known: RefCell::new(BTreeMap::new()),
    };
    text.define();
    match text.run(0..steps.len(), left) {
        Some(whole) => reached(whole),
        None => Reached::TooLong,
    }
}

fn reached(whole: Whole) -> Reached {
    match whole {
        Whole { found: Some(found), .. } if !found.strange => Reached::Program(found),
        Whole { found: Some(found), .. } if found.processes > 1 || found.goes_on => Reached::Several(found),
        Whole { other, .. } => other.unwrap_or(Reached::Nothing),
    }
}

impl<'a> Text<'a, '_> {
    /// Finds the bodies of functions.
    fn define(&mut self) {
        let mut open = Vec::new();
        for (place, step) in self.steps.iter().enumerate() {
            match step {
                Step::Open => open.push(place),
                Step::Run(_) => {}
                Step::Close { defines, .. } => {
                    let Some((began, name)) = open.pop().zip(defines.as_deref()) else { continue };
                    self.bodies.entry(name).or_default().push(began..place + 1);
                    self.begins.insert(began, (place, name));
                }
            }
        }
    }

    /// What some steps run; none if they are too long.
    fn run(&self, steps: Range<usize>, left: Left<'_>) -> Option<Whole> {
        let (mut top, mut outer) = (Together::default(), Vec::new());
        let mut place = steps.start;
        while place < steps.end {
            match self.steps.get(place)? {
                Step::Open => match self.begins.get(&place).filter(|_| place != steps.start) {
                    Some((end, name)) => {
                        self.stands(&mut top, name, left)?;
                        place = *end;
                    }
                    None => outer.push(std::mem::take(&mut top)),
                },
                Step::Run(command) => self.command(&mut top, command, left)?,
                Step::Close { beside, looped, .. } => {
                    let inner = std::mem::replace(&mut top, outer.pop().unwrap_or_default()).whole();
                    if let Some(found) = inner.found {
                        top.add(found, *beside, *looped);
                    }
                    inner.other.into_iter().for_each(|other| top.stands_for(other));
                }
            }
            place += 1;
        }
        Some(top.whole())
    }

    /// Not every call of a function is visible: its body also counts where it is defined.
    fn stands(&self, top: &mut Together, name: &'a str, left: Left<'_>) -> Option<()> {
        if matches!(self.known.borrow().get(name), Some(Known::Begun)) {
            return Some(());
        }
        match self.call(name, left) {
            Some(Reached::TooLong) => return None,
            Some(Reached::Program(found)) => top.add(Found { goes_on: false, ..found }, false, false),
            Some(other @ (Reached::Script(_) | Reached::Other(_))) => top.stands_for(other),
            _ => {}
        }
        Some(())
    }

    fn command(&self, top: &mut Together, command: &Command, left: Left<'_>) -> Option<()> {
        let found = self.one(command, left);
        match found {
            Reached::TooLong => return None,
            Reached::Program(found) => top.add(found, command.beside, command.looped),
            Reached::Nothing => {}
            _ if command.substituted => {}
            Reached::Script(name) if command.fed && name == STDIN => {}
            other => {
                if let Some(found) = other.stranger() {
                    top.add(found, command.beside, command.looped);
                }
                top.stands_for(other);
            }
        }
        Some(())
    }

    /// A command, or a function.
    fn one(&self, command: &Command, left: Left<'_>) -> Reached {
        let own = |name: &str| self.sets.value(name, command.when, self.variables);
        let variables = overlaid(&command.sets, &own);
        let left = left.deeper().among(self);
        let found = reach(&command.words, &variables, left);
        let Some((name, rest)) = command.words.split_first() else { return found };
        let body = self.call(&name.text, left);
        let Some(body) = body.filter(|_| found != Reached::TooLong) else { return found };
        if let Reached::Program(found) = found {
            return match body {
                Reached::Program(body) => Reached::Program(found.or(body)),
                Reached::TooLong => Reached::TooLong,
                _ => Reached::Program(found),
            };
        }
        // The pod does not show what it does with the words that it gets: they may keep running, beside its own
        // commands.
        match (self.given(rest, &variables, left), body) {
            (Some(Reached::TooLong), _) | (_, Reached::TooLong) => Reached::TooLong,
            (Some(Reached::Program(found)), Reached::Program(body)) => {
                Reached::Program(found.and(Some(body)))
            }
            (Some(Reached::Program(found)), Reached::Several(body)) => {
                Reached::Program(Found { goes_on: found.goes_on || body.goes_on, ..found })
            }
            (Some(found @ Reached::Program(_)), _) | (_, found) => found,
        }
    }

    /// Most functions end by running the words that they get: a program, or another function.
    fn given(&self, words: &[Word], variables: &Variables<'_>, left: Left<'_>) -> Option<Reached> {
        let function = words.first().and_then(|word| self.call(&word.text, left));
        match function {
            Some(found @ (Reached::Program(_) | Reached::TooLong)) => Some(found),
            _ => wrapped(words, variables, left),
        }
    }

    fn body(&self, name: &str, bodies: &[Range<usize>], left: Left<'_>) -> Reached {
        let mut all: Option<Reached> = None;
        for body in bodies {
            let Some(whole) = self.run(body.clone(), left) else { return Reached::TooLong };
            all = Some(match (all, reached(whole)) {
                (Some(Reached::Program(one)), Reached::Program(other)) => Reached::Program(one.or(other)),
                (Some(found @ Reached::Program(_)), _) => found,
                (_, found) => found,
            });
        }
        let found = all.unwrap_or(Reached::Nothing);
        self.known.borrow_mut().insert(name.to_owned(), Known::Is(found.clone()));
        found
    }
}

impl Functions for Text<'_, '_> {
    fn call(&self, name: &str, left: Left<'_>) -> Option<Reached> {
        let Some(bodies) = self.bodies.get(name) else { return self.around?.call(name, left) };
        let known = self.known.borrow().get(name).cloned();
        match known {
            Some(Known::Is(found)) => Some(found),
            Some(Known::Begun) => {
                let why = format!("the function `{}` calls itself", shown(name));
                Some(Reached::Program(Found::unknown(why)))
            }
            None => {
                self.known.borrow_mut().insert(name.to_owned(), Known::Begun);
                Some(self.body(name, bodies, left))
            }
        }
    }
}

#[cfg(test)]
mod tests;
