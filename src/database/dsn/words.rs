//! A DSN in libpq's words: `host=db user=app password='with a blank'`.
//!
//! In: the text. Out: the parts. Forbidden here: judging them.

use std::iter::Peekable;
use std::str::Chars;

use zeroize::Zeroizing;

use super::{MOST_BYTES, Parts, Wrong};

pub(super) fn read(text: &str) -> Result<Parts, Wrong> {
    let mut parts = Parts { has_tls: true, ..Parts::default() };
    let mut rest = text.chars().peekable();
    loop {
        skip_blanks(&mut rest);
        if rest.peek().is_none() {
            return Ok(parts);
        }
        let key = key(&mut rest)?;
        skip_blanks(&mut rest);
        if rest.next() != Some('=') {
            return Err(Wrong::Form);
        }
        skip_blanks(&mut rest);
        let value = if rest.next_if_eq(&'\'').is_some() { quoted(&mut rest) } else { plain(&mut rest) };
        parts.set(&key, value?);
    }
}

fn skip_blanks(rest: &mut Peekable<Chars<'_>>) {
    while rest.next_if(|c| c.is_ascii_whitespace()).is_some() {}
}

fn key(rest: &mut Peekable<Chars<'_>>) -> Result<String, Wrong> {
    let mut key = String::new();
    while let Some(c) = rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
        key.push(c);
    }
    if key.is_empty() { Err(Wrong::Form) } else { Ok(key) }
}

fn empty() -> Zeroizing<String> {
    // As large as it can become, so that no copy of a password is left behind.
    Zeroizing::new(String::with_capacity(MOST_BYTES))
}

fn quoted(rest: &mut Peekable<Chars<'_>>) -> Result<Zeroizing<String>, Wrong> {
    let mut value = empty();
    loop {
        match rest.next().ok_or(Wrong::Quote)? {
            '\'' => return Ok(value),
            '\\' => value.push(rest.next().ok_or(Wrong::Quote)?),
            c => value.push(c),
        }
    }
}

fn plain(rest: &mut Peekable<Chars<'_>>) -> Result<Zeroizing<String>, Wrong> {
    let mut value = empty();
    while let Some(c) = rest.next_if(|c| !c.is_ascii_whitespace()) {
        value.push(if c == '\\' { rest.next().ok_or(Wrong::Quote)? } else { c });
    }
    Ok(value)
}
