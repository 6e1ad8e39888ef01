//! Colours by meaning, and when they are used: on a terminal, unless the user asks otherwise.

use std::ffi::OsStr;
use std::io::IsTerminal;

use anstyle::{AnsiColor, Effects, Style};
use clap::{Args, ValueEnum};

/// The flag with which a command is asked for colours.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct ColorArgs {
    /// When to colour the output; auto: on a terminal, unless the variable NO_COLOR is set
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    color: Color,
}

#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

impl ColorArgs {
    /// Paint for what is written to `stream`.
    #[must_use]
    pub fn paint(self, stream: &impl IsTerminal) -> Paint {
        self.decide(stream.is_terminal(), std::env::var_os("NO_COLOR").as_deref())
    }

    /// See <https://no-color.org>: the variable counts unless it is empty.
    fn decide(self, terminal: bool, no_color: Option<&OsStr>) -> Paint {
        let unwanted = no_color.is_some_and(|value| !value.is_empty());
        Paint {
            on: match self.color {
                Color::Auto => terminal && !unwanted,
                Color::Always => true,
                Color::Never => false,
            },
        }
    }
}

/// What a colour says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing: text as it is.
    #[default]
    Plain,
    /// It is fine.
    Good,
    /// It deserves a look.
    Warn,
    /// It is wrong.
    Bad,
    /// It is unimportant.
    Dim,
    /// It is a title.
    Strong,
}

impl Tone {
    const fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Warn => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default(),
            Self::Dim => Style::new().effects(Effects::DIMMED),
            Self::Strong => Style::new().effects(Effects::BOLD),
        }
    }
}

/// Puts colours on text, or leaves it alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// Leaves all text alone.
    pub const PLAIN: Self = Self { on: false };
    /// Puts colours on all text.
    pub const COLOURED: Self = Self { on: true };

    /// `text` in the colour of `tone`.
    #[must_use]
    pub fn text(self, tone: Tone, text: &str) -> String {
        if !self.on || tone == Tone::Plain || text.is_empty() {
            return text.to_owned();
        }
        let style = tone.style();
        format!("{style}{text}{style:#}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(color: Color, terminal: bool, no_color: Option<&str>) -> bool {
        ColorArgs { color }.decide(terminal, no_color.map(OsStr::new)).on
    }

    #[test]
    fn colours_are_for_terminals() {
        assert_eq!([on(Color::Auto, true, None), on(Color::Auto, false, None)], [true, false]);
    }

    #[test]
    fn who_wants_no_colours_gets_none_and_an_empty_wish_is_none() {
        assert_eq!([on(Color::Auto, true, Some("1")), on(Color::Auto, true, Some(""))], [false, true]);
    }

    #[test]
    fn the_flag_overrides_terminal_and_variable() {
        assert_eq!([on(Color::Always, false, Some("1")), on(Color::Never, true, None)], [true, false]);
    }

    #[test]
    fn a_colour_ends_where_its_text_ends() {
        assert_eq!(Paint::COLOURED.text(Tone::Bad, "no"), "\u{1b}[31mno\u{1b}[0m");
        assert_eq!(Paint::COLOURED.text(Tone::Plain, "so"), "so");
        assert_eq!(Paint::PLAIN.text(Tone::Bad, "no"), "no");
    }
}
