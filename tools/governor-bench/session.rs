//! A client of PostgreSQL that costs next to nothing, so that the server and the proxy are what is measured.
//!
//! In: an address. Out: open connections, and bytes of COPY in both directions, at full speed or at a rate. It looks
//! at no message between the first and the last: what comes ends with `ReadyForQuery`.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddrV4, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

/// `ReadyForQuery` outside of a transaction.
const READY: [u8; 6] = [b'Z', 0, 0, 0, 5, b'I'];
/// What a row has, with the end of its line.
const ROW: usize = 1_000;
/// What a message of COPY has when it is sent.
const PART: usize = 64_000;
/// No answer takes longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// What an answer that is no row may have, for messages.
const SAID: usize = 400;

/// An open connection.
pub struct Session(TcpStream);

impl Session {
    /// Opens one as `app`, who needs no password.
    pub fn open(address: SocketAddrV4) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut session = Self(stream);
        let words = b"\0\x03\0\0user\0app\0database\0app\0\0";
        session.0.write_all(&[&length(words.len())?, &words[..]].concat())?;
        session.until_ready().context("open a session")?;
        Ok(session)
    }

    /// Runs a statement without rows.
    pub fn run(&mut self, statement: &str) -> Result<()> {
        self.ask(statement)?;
        self.until_ready().map(drop).with_context(|| format!("run {statement}"))
    }

    /// Copies so many bytes out, and says how long it took.
    pub fn copy_out(&mut self, bytes: usize) -> Result<Duration> {
        let (rows, begun) = (bytes / ROW, Instant::now());
        let characters = ROW - 1;
        self.ask(&format!(
            "copy (select repeat('x', {characters}) from generate_series(1, {rows})) to stdout"
        ))?;
        let come = self.until_ready().context("copy out")?;
        ensure!(come >= rows * ROW, "{come} bytes have come of {rows} rows");
        Ok(begun.elapsed())
    }

    /// Copies so many bytes in, where they are dropped, and says how long it took. With a rate it sends so many bytes a
    /// second.
    pub fn copy_in(&mut self, bytes: usize, rate: Option<f64>) -> Result<Duration> {
        let row = [vec![b'x'; ROW - 1], vec![b'\n']].concat();
        let part = [b"d".to_vec(), length(PART)?.to_vec(), row.repeat(PART / ROW)].concat();
        let pause = rate.map(|rate| Duration::from_secs(1).mul_f64(64_000.0 / rate));
        let begun = Instant::now();
        self.ask("copy sink from stdin where false")?;
        let mut due = begun;
        for _ in 0..bytes / PART {
            self.0.write_all(&part).context("copy in")?;
            if let Some(pause) = pause {
                due += pause;
                sleep(due.saturating_duration_since(Instant::now()));
            }
        }
        self.0.write_all(b"c\0\0\0\x04")?;
        self.until_ready().context("copy in")?;
        Ok(begun.elapsed())
    }

    fn ask(&mut self, statement: &str) -> Result<()> {
        let text = [statement.as_bytes(), b"\0"].concat();
        Ok(self.0.write_all(&[b"Q", &length(text.len())?[..], &text].concat())?)
    }

    /// Reads until the server waits for a question, and says how many bytes came.
    fn until_ready(&mut self) -> Result<usize> {
        let mut buffer = vec![0; 256 << 10];
        let (mut kept, mut all) = (0, 0);
        loop {
            let free = buffer.get_mut(kept..).unwrap_or_default();
            let count = self.0.read(free)?;
            all += count;
            let have = buffer.get(..kept + count).unwrap_or_default();
            if all == count && have.first() == Some(&b'E') || count == 0 {
                let said = String::from_utf8_lossy(have.get(..have.len().min(SAID)).unwrap_or_default());
                bail!("the server says {said:?}");
            }
            if have.ends_with(&READY) {
                return Ok(all);
            }
            // The end of it may be the beginning of those words.
            let rest = have.len().saturating_sub(READY.len() - 1);
            kept = have.len() - rest;
            buffer.copy_within(rest..rest + kept, 0);
        }
    }
}

/// The length of a message, which counts itself.
fn length(of_text: usize) -> Result<[u8; 4]> {
    Ok(u32::try_from(of_text + 4).context("a message is too long")?.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::thread::{JoinHandle, spawn};

    use super::*;

    /// Says this, each part in a packet of its own, and closes.
    fn server(parts: &'static [&'static [u8]]) -> (Session, JoinHandle<()>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let says = spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            client.set_nodelay(true).unwrap();
            for part in parts {
                client.write_all(part).unwrap();
                sleep(Duration::from_millis(20));
            }
        });
        (Session(stream), says)
    }

    #[test]
    fn the_last_words_are_understood_in_pieces_too() {
        let (mut session, says) = server(&[b"C\0\0\0\x0bCOPY 1\0Z\0\0", b"\0", b"\x05I"]);
        assert_eq!(session.until_ready().unwrap(), 18);
        says.join().unwrap();
    }

    #[test]
    fn an_error_is_told() {
        let (mut session, says) = server(&[b"E\0\0\0\x0bSFATAL\0"]);
        let told = session.until_ready().unwrap_err().to_string();
        assert!(told.contains("FATAL"), "{told}");
        says.join().unwrap();
    }

    #[test]
    fn an_end_before_the_last_words_is_told() {
        let (mut session, says) = server(&[b"C\0\0\0\x0bCOPY 1\0Z\0"]);
        let told = session.until_ready().unwrap_err().to_string();
        assert!(told.contains("Z"), "{told}");
        says.join().unwrap();
    }
}
