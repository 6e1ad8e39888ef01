//! Where the demo writes: a terminal, on which the last lines are drawn again and again, or anything else, to
//! which only results go.
//!
//! In: lines. Out: standard output. Colour only on a terminal, and not when `NO_COLOR` is set.

use std::io::{self, IsTerminal as _, Stdout, Write as _};

use terminal_size::{Height, Width, terminal_size_of};

use super::screen::Canvas;

/// The size where none is known.
const WIDTH: usize = 80;
const HEIGHT: usize = 24;

/// Standard output.
#[derive(Debug)]
pub struct Terminal {
    out: Stdout,
    watched: bool,
    live: bool,
    colour: bool,
    /// The lines that stand to be overwritten.
    drawn: Vec<String>,
}

impl Terminal {
    /// Looks at what standard output is.
    pub fn open() -> Self {
        let out = io::stdout();
        let watched = out.is_terminal();
        let live = watched && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let colour = live && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { out, watched, live, colour, drawn: Vec::new() }
    }

    /// Whether it is a terminal, before which somebody may sit.
    pub fn is_watched(&self) -> bool {
        self.watched
    }

    /// What can be drawn at once and overwritten.
    pub fn canvas(&self) -> Canvas {
        let size = terminal_size_of(&self.out).map(|(Width(w), Height(h))| (usize::from(w), usize::from(h)));
        let (width, height) = size.unwrap_or((WIDTH, HEIGHT));
        // The line below the last one is where the cursor stands.
        Canvas { width, height: height.saturating_sub(1), colour: self.colour }
    }

    /// What can be written for good: lines that leave the screen do no harm.
    pub fn page(&self) -> Canvas {
        Canvas { height: usize::MAX, ..self.canvas() }
    }

    /// Writes lines that stay, in the place of those that were only shown.
    pub fn print(&mut self, lines: &[String]) -> io::Result<()> {
        self.overwrite(lines)?;
        self.drawn.clear();
        Ok(())
    }

    /// Shows lines until others are shown or printed. Nothing but a terminal can do that.
    pub fn show(&mut self, lines: Vec<String>) -> io::Result<()> {
        if !self.live || lines == self.drawn {
            return Ok(());
        }
        self.overwrite(&lines)?;
        self.drawn = lines;
        Ok(())
    }

    /// Lets the lines that were only shown stand.
    pub fn keep(&mut self) {
        self.drawn.clear();
    }

    /// Each line takes the place of an old one; what is left of the old ones goes. Nothing is cleared before it
    /// is written again, so nothing flickers, and no frame is kept as history.
    fn overwrite(&self, lines: &[String]) -> io::Result<()> {
        let (up, end, rest) = match self.drawn.len() {
            0 => (String::new(), "", ""),
            old => (format!("\x1b[{old}A\r"), "\x1b[K", "\x1b[J"),
        };
        let lines: String = lines.iter().map(|line| format!("{line}{end}\n")).collect();
        let mut out = self.out.lock();
        out.write_all(format!("{up}{lines}{rest}").as_bytes())?;
        out.flush()
    }
}
