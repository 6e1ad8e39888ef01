//! Text for people: tables, bars, colours.
//!
//! In: plain values that a command has computed. Out: lines of text, coloured if requested. Forbidden here: knowing
//! what the numbers mean, reading anything, deciding anything.

mod bar;
mod paint;
mod paragraph;
mod table;

use std::io::{self, Write};

pub use bar::Bar;
pub use paint::{ColorArgs, Paint, Tone};
pub use paragraph::paragraph;
pub use table::{Align, Cell, Table};

/// Writes to standard output. A reader that stops early (`| head`) is no error.
///
/// # Errors
/// When the text cannot be written.
pub fn put(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
