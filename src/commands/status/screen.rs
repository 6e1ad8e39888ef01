//! Where a changing picture is shown: in place on a terminal, one after the other everywhere else.
//!
//! In: pictures. Out: what the user sees of them. On a terminal it uses the alternate screen, so that the old content
//! is back when it ends, with the last picture below it.

use std::io::{self, ErrorKind, IsTerminal, Write};

const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";
/// Moves the cursor to the top and clears everything after it.
const AFRESH: &str = "\x1b[H\x1b[J";

/// Shows pictures. When dropped, it restores the terminal.
pub(super) struct Screen<W: Write> {
    out: W,
    in_place: bool,
    shown: Option<String>,
}

impl Screen<io::Stdout> {
    /// A screen on standard output.
    pub(super) fn of_stdout() -> io::Result<Self> {
        Self::new(io::stdout(), io::stdout().is_terminal())
    }
}

impl<W: Write> Screen<W> {
    fn new(mut out: W, in_place: bool) -> io::Result<Self> {
        if in_place {
            out.write_all(ENTER.as_bytes())?;
        }
        Ok(Self { out, in_place, shown: None })
    }

    /// Shows a picture, unless it is shown already. False if the reader is gone.
    pub(super) fn show(&mut self, picture: String) -> io::Result<bool> {
        if self.shown.as_ref() == Some(&picture) {
            return Ok(true);
        }
        let before = match (self.in_place, &self.shown) {
            (true, _) => AFRESH,
            (false, Some(_)) => "\n",
            (false, None) => "",
        };
        let written = write!(self.out, "{before}{picture}").and_then(|()| self.out.flush());
        self.shown = Some(picture);
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            written => written.map(|()| true),
        }
    }
}

impl<W: Write> Drop for Screen<W> {
    fn drop(&mut self) {
        if self.in_place {
            // If writing failed, there is no way to report it.
            let last = self.shown.take().unwrap_or_default();
            let _ = write!(self.out, "{LEAVE}{last}").and_then(|()| self.out.flush());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(in_place: bool, pictures: &[&str]) -> String {
        let mut bytes = Vec::new();
        let mut screen = Screen::new(&mut bytes, in_place).expect("a screen");
        for picture in pictures {
            assert!(screen.show((*picture).to_owned()).expect("shown"));
        }
        drop(screen);
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn pictures_that_are_piped_follow_each_other_and_none_twice() {
        assert_eq!(written(false, &["one\n", "one\n", "two\n"]), "one\n\ntwo\n");
    }

    #[test]
    fn a_terminal_has_one_picture_in_place_and_keeps_the_last() {
        assert_eq!(
            written(true, &["one\n", "two\n"]),
            "\x1b[?1049h\x1b[H\x1b[Jone\n\x1b[H\x1b[Jtwo\n\x1b[?1049ltwo\n"
        );
    }

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn that_nobody_looks_any_more_is_no_error() {
        let mut screen = Screen::new(Closed, false).expect("a screen");
        assert!(!screen.show("one\n".to_owned()).expect("no error"));
    }
}
