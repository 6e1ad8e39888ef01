//! Whether a session of PostgreSQL is idle, from the bytes that pass in both directions.
//!
//! In: the bytes, in any pieces, in the order in which they were read. Out: whether the last message was `ReadyForQuery`
//! outside of a transaction, to all that the client asked, and the client has sent nothing since. Only types and
//! lengths are read. What is encrypted or odd in any way is opaque from then on, and never idle; nothing is guessed.
//! Forbidden here: changing a byte, memory that grows, and reading what a message says.

use super::first_bytes::{self, ENOUGH, First};

/// The bytes of a type and a length.
const HEAD: usize = 5;
/// The longest message: PostgreSQL takes and sends none above a gibibyte.
const LONGEST: u32 = 1 << 30;
/// Questions without an answer that are counted; a client with more is opaque.
const OWED: u32 = 1 << 20;

/// Both directions of one connection.
#[derive(Clone, Debug, Default)]
pub struct Session {
    phase: Phase,
    client: Stream,
    server: Stream,
    /// Questions of the client that `ReadyForQuery` answers, and has not yet.
    owed: u32,
    /// Whether the client's last question is complete, so that its next message would begin a new one.
    is_settled: bool,
    /// Whether the last message of all was `ReadyForQuery` outside of a transaction.
    is_ready: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// The client's next packet has no type.
    #[default]
    Opening,
    /// The client asked for encryption. The server's answer is one byte.
    Asked,
    /// Messages with types.
    Talk,
    /// Not understood, and not looked at any more.
    Opaque,
}

/// Something that a client or a server of PostgreSQL would not send.
struct Odd;

impl Session {
    /// The client has sent this.
    pub fn client(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.phase != Phase::Opaque {
            self.is_ready = false;
            if self.client_part(&mut bytes).is_err() {
                self.phase = Phase::Opaque;
            }
        }
    }

    /// The server has sent this.
    pub fn server(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.phase != Phase::Opaque {
            self.is_ready = false;
            if self.server_part(&mut bytes).is_err() {
                self.phase = Phase::Opaque;
            }
        }
    }

    /// Whether it could be closed now without breaking anything off.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Talk
            && self.is_ready
            && self.owed == 0
            && self.is_settled
            && self.client.is_between()
            && self.server.is_between()
    }

    fn client_part(&mut self, bytes: &mut &[u8]) -> Result<(), Odd> {
        match self.phase {
            Phase::Opening => {
                let Some(head) = self.client.head(bytes, ENOUGH) else { return Ok(()) };
                match first_bytes::read(&head) {
                    Some(First::Tls | First::Gss) => self.phase = Phase::Asked,
                    Some(First::Startup(length)) => {
                        self.phase = Phase::Talk;
                        (self.owed, self.is_settled) = (1, true);
                        self.client.begin(0, length.saturating_sub(8));
                    }
                    _ => return Err(Odd),
                }
                Ok(())
            }
            Phase::Talk => match self.client.message(bytes)? {
                Some((kind, _)) => self.client_said(kind),
                None => Ok(()),
            },
            // It has to wait for the server's answer.
            Phase::Asked | Phase::Opaque => Err(Odd),
        }
    }

    /// The client has sent a whole message.
    fn client_said(&mut self, kind: u8) -> Result<(), Odd> {
        match kind {
            // Query, Sync and FunctionCall are answered with ReadyForQuery.
            b'Q' | b'S' | b'F' => {
                self.owed = self.owed.saturating_add(1);
                self.is_settled = true;
                if self.owed > OWED { Err(Odd) } else { Ok(()) }
            }
            // Parse, Bind, Execute, Describe, Close: Sync is still to come.
            b'P' | b'B' | b'E' | b'D' | b'C' => {
                self.is_settled = false;
                Ok(())
            }
            // The packet that begins a session, passwords, the data of COPY, Flush: they belong to a question.
            0 | b'p' | b'd' | b'c' | b'f' | b'H' => Ok(()),
            // Terminate, and what is none.
            _ => Err(Odd),
        }
    }

    fn server_part(&mut self, bytes: &mut &[u8]) -> Result<(), Odd> {
        match self.phase {
            Phase::Asked => {
                let Some((answer, rest)) = bytes.split_first() else { return Ok(()) };
                *bytes = rest;
                if *answer != b'N' {
                    return Err(Odd);
                }
                self.phase = Phase::Opening;
                Ok(())
            }
            Phase::Talk => match self.server.message(bytes)? {
                Some((b'Z', status)) => self.ready(status),
                _ => Ok(()),
            },
            // A server of PostgreSQL does not speak first.
            Phase::Opening | Phase::Opaque => Err(Odd),
        }
    }

    fn ready(&mut self, status: u8) -> Result<(), Odd> {
        self.owed = self.owed.checked_sub(1).ok_or(Odd)?;
        self.is_ready = match status {
            b'I' => true,
            b'T' | b'E' => false,
            _ => return Err(Odd),
        };
        Ok(())
    }
}

/// One direction: where in a message it is.
#[derive(Clone, Copy, Debug, Default)]
struct Stream {
    head: [u8; ENOUGH],
    have: usize,
    /// Set from the end of a head to the end of its body.
    body: Option<Body>,
}

#[derive(Clone, Copy, Debug)]
struct Body {
    kind: u8,
    left: u32,
    last: u8,
}

impl Stream {
    fn is_between(&self) -> bool {
        self.have == 0 && self.body.is_none()
    }

    /// A head of so many bytes, once all of them have come.
    fn head(&mut self, bytes: &mut &[u8], need: usize) -> Option<[u8; ENOUGH]> {
        while self.have < need {
            let (first, rest) = bytes.split_first()?;
            *self.head.get_mut(self.have)? = *first;
            self.have = self.have.saturating_add(1);
            *bytes = rest;
        }
        self.have = 0;
        Some(self.head)
    }

    /// A message of this kind has so many bytes still to come.
    fn begin(&mut self, kind: u8, left: u32) {
        self.body = Some(Body { kind, left, last: 0 });
    }

    /// The kind of a message and its last byte, once the whole message has come.
    fn message(&mut self, bytes: &mut &[u8]) -> Result<Option<(u8, u8)>, Odd> {
        if self.body.is_none() {
            let Some([kind, length @ .., _, _, _]) = self.head(bytes, HEAD) else { return Ok(None) };
            let length = u32::from_be_bytes(length);
            // The length counts itself, and ReadyForQuery has one byte more.
            let is_message = (4..=LONGEST).contains(&length) && (kind != b'Z' || length == 5);
            if kind == 0 || !is_message {
                return Err(Odd);
            }
            self.begin(kind, length.saturating_sub(4));
        }
        let Some(body) = &mut self.body else { return Ok(None) };
        let here = bytes.len().min(usize::try_from(body.left).unwrap_or(usize::MAX));
        let (part, rest) = bytes.split_at_checked(here).ok_or(Odd)?;
        body.left = body.left.saturating_sub(u32::try_from(here).unwrap_or(u32::MAX));
        body.last = part.last().copied().unwrap_or(body.last);
        *bytes = rest;
        if body.left > 0 {
            return Ok(None);
        }
        let ended = (body.kind, body.last);
        self.body = None;
        Ok(Some(ended))
    }
}

#[cfg(test)]
mod tests;
