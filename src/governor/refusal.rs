//! What a client of PostgreSQL is told before its connection is closed.
//!
//! In: the number, and how long it waited. Out: the bytes of an `ErrorResponse`, or of the end of a session. Forbidden
//! here: sending them.

use std::time::Duration;

/// The message with which a client ends a session: `Terminate`.
pub const TERMINATE: [u8; 5] = [b'X', 0, 0, 0, 4];

/// `too_many_connections`, as the server itself would answer.
const FULL: &str = "53300";
/// `idle_session_timeout`, which pools know as the end of a connection that nobody used.
const IDLE: &str = "57P05";

/// A client waited so long for a connection of so many that the pod may hold; none if that is not known yet.
#[must_use]
pub fn full(allowed: Option<u32>, waited: Duration) -> Vec<u8> {
    let waited = waited_for(waited);
    let (why, hint) = match allowed {
        None => (
            "it is not known yet how many connections this pod may hold".to_owned(),
            "The file with the number has none so far: see the log of the governor.",
        ),
        Some(0) => ("this pod may hold no connections now".to_owned(), "The file with the number says 0."),
        Some(allowed) => {
            let all = if allowed == 1 { "connection, it is" } else { "connections, all are" };
            (
                format!("this pod may hold {allowed} {all} in use"),
                "Use fewer connections at a time, give them back sooner, or give this pod more.",
            )
        }
    };
    error(FULL, &format!("poolbudget: {why}; waited {waited}"), hint)
}

/// The connection of a client is closed because the pod may hold fewer now, and this one was idle.
#[must_use]
pub fn idle() -> Vec<u8> {
    let message = "terminating connection due to idle-session timeout";
    error(IDLE, message, "poolbudget: this pod may hold fewer connections now, and this one was idle.")
}

/// In whole seconds; in milliseconds where that would say too little.
fn waited_for(waited: Duration) -> String {
    match waited.as_millis() {
        0 => "0 s".to_owned(),
        millis @ 1..1_000 => format!("{millis} ms"),
        _ => format!("{} s", waited.as_secs()),
    }
}

/// An `ErrorResponse` that ends the session.
fn error(code: &str, message: &str, hint: &str) -> Vec<u8> {
    let fields = [(b'S', "FATAL"), (b'V', "FATAL"), (b'C', code), (b'M', message), (b'H', hint)];
    let mut body = Vec::new();
    for (field, text) in fields {
        body.push(field);
        body.extend_from_slice(text.as_bytes());
        body.push(0);
    }
    body.push(0);
    // The length counts itself. Texts of this file are short.
    let length = u32::try_from(body.len()).unwrap_or_default().saturating_add(4);
    let mut bytes = vec![b'E'];
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.append(&mut body);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fields of an `ErrorResponse`.
    fn fields(bytes: &[u8]) -> Vec<String> {
        let (head, body) = bytes.split_at(5);
        assert_eq!(head[0], b'E');
        let length = u32::from_be_bytes(head[1..].try_into().expect("four bytes"));
        assert_eq!(usize::try_from(length).expect("short"), body.len() + 4);
        let body = body.strip_suffix(&[0, 0]).expect("the end of the last field, and of all");
        body.split(|byte| *byte == 0).map(|text| String::from_utf8(text.into()).expect("text")).collect()
    }

    #[test]
    fn a_refusal_says_how_many_and_how_long_and_what_to_do() {
        let told = fields(&full(Some(3), Duration::from_secs(30)));
        assert_eq!(told[..3], ["SFATAL", "VFATAL", "C53300"]);
        assert_eq!(told[3], "Mpoolbudget: this pod may hold 3 connections, all are in use; waited 30 s");
        assert!(told[4].starts_with("HUse fewer connections"), "{told:?}");
    }

    #[test]
    fn one_none_and_an_unknown_number_are_said_as_such() {
        for (allowed, waited, message) in [
            (
                Some(1),
                Duration::from_millis(250),
                "poolbudget: this pod may hold 1 connection, it is in use; waited 250 ms",
            ),
            (Some(0), Duration::from_secs(1), "poolbudget: this pod may hold no connections now; waited 1 s"),
            (
                None,
                Duration::ZERO,
                "poolbudget: it is not known yet how many connections this pod may hold; waited 0 s",
            ),
        ] {
            assert_eq!(fields(&full(allowed, waited))[3], format!("M{message}"));
        }
    }

    #[test]
    fn an_idle_connection_ends_as_postgres_itself_ends_it() {
        let told = fields(&idle());
        assert_eq!(told[2..4], ["C57P05", "Mterminating connection due to idle-session timeout"]);
    }
}
