//! Sessions as they are recorded on the wire, whole and in pieces.

use proptest::prelude::*;

use super::*;

/// Who sends what.
#[derive(Clone, Debug)]
enum Sent {
    Client(Vec<u8>),
    Server(Vec<u8>),
}

use Sent::{Client, Server};

fn untyped(code: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap() + 8;
    [&length.to_be_bytes()[..], &code.to_be_bytes(), body].concat()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap() + 4;
    [&[kind][..], &length.to_be_bytes(), body].concat()
}

fn messages(kinds: &str) -> Vec<u8> {
    kinds.bytes().flat_map(|kind| message(kind, b"body")).collect()
}

fn ready(status: u8) -> Sent {
    Server(message(b'Z', &[status]))
}

fn startup() -> Sent {
    Client(untyped(196_608, b"user\0app\0\0"))
}

/// A session that was let in, up to its first ReadyForQuery.
fn let_in() -> Vec<Sent> {
    vec![startup(), Server(messages("R")), Client(messages("p")), Server(messages("RRSSSK")), ready(b'I')]
}

fn is_idle(sent: &[Sent]) -> bool {
    let mut session = Session::default();
    for part in sent {
        match part {
            Client(bytes) => session.client(bytes),
            Server(bytes) => session.server(bytes),
        }
    }
    session.is_idle()
}

/// Whether it is idle after `let_in` and this.
fn then(more: Vec<Sent>) -> bool {
    is_idle(&[let_in(), more].concat())
}

#[test]
fn a_session_is_idle_once_all_that_was_asked_is_answered() {
    let begun = let_in();
    for length in 0..begun.len() {
        assert!(!is_idle(&begun[..length]), "{length}");
    }
    assert!(is_idle(&begun));
    assert!(!then(vec![Client(messages("Q"))]));
    assert!(!then(vec![Client(messages("Q")), Server(messages("TDDDC"))]));
    assert!(then(vec![Client(messages("Q")), Server(messages("TDDDC")), ready(b'I')]));
    assert!(then(vec![Client(messages("PBDES")), Server(messages("12TDC")), ready(b'I')]));
    assert!(then(vec![Client(messages("F")), Server(messages("V")), ready(b'I')]));
}

#[test]
fn a_transaction_is_not_idle() {
    for status in [b'T', b'E'] {
        assert!(!then(vec![Client(messages("Q")), Server(messages("C")), ready(status)]));
    }
}

#[test]
fn a_question_that_was_sent_ahead_of_an_answer_is_still_to_be_answered() {
    let two = vec![Client(messages("QQ")), Server(messages("C")), ready(b'I')];
    assert!(!then(two.clone()));
    assert!(then([two, vec![Server(messages("C")), ready(b'I')]].concat()));
    // A question that has begun, without its Sync.
    assert!(!then(vec![Client(messages("SPB")), ready(b'I')]));
    assert!(then(vec![Client(messages("SPB")), ready(b'I'), Client(messages("S")), ready(b'I')]));
}

#[test]
fn a_byte_of_either_side_ends_the_idleness() {
    assert!(!then(vec![Client(vec![b'Q'])]));
    assert!(!then(vec![Server(vec![b'A'])]));
    // A notification is the last message then: who listens is left alone.
    assert!(!then(vec![Server(messages("A"))]));
}

#[test]
fn data_that_is_copied_in_belongs_to_its_question() {
    let copied =
        vec![Client(messages("Q")), Server(messages("G")), Client(messages("dddc")), Server(messages("C"))];
    assert!(!then(copied.clone()));
    assert!(then([copied, vec![ready(b'I')]].concat()));
    assert!(!then(vec![Client(messages("Q")), Server(messages("GE")), ready(b'I'), Client(messages("d"))]));
}

#[test]
fn a_server_without_encryption_is_followed_and_an_encrypted_session_is_opaque() {
    let (gss, tls) = (Client(untyped(80_877_104, b"")), Client(untyped(80_877_103, b"")));
    let refused = vec![gss.clone(), Server(vec![b'N']), tls.clone(), Server(vec![b'N'])];
    assert!(is_idle(&[refused, let_in()].concat()));
    for (asks, answer) in [(&tls, b'S'), (&gss, b'G'), (&tls, b'E'), (&tls, b'x')] {
        assert!(!is_idle(&[vec![asks.clone(), Server(vec![answer])], let_in()].concat()), "{answer}");
    }
}

#[test]
fn what_is_odd_once_is_opaque_for_ever() {
    let long = [&[b'D'][..], &(LONGEST + 1).to_be_bytes()].concat();
    for odd in [
        // No ReadyForQuery was owed.
        vec![ready(b'I')],
        vec![Client(messages("Q")), ready(b'x'), Client(messages("Q"))],
        vec![Client(messages("Q")), Server(message(b'Z', b"II"))],
        vec![Client(messages("Q")), Server(message(b'Z', b"")), ready(b'I')],
        vec![Client(messages("Q")), Server(vec![b'D', 0, 0, 0, 3])],
        vec![Client(messages("Q")), Server(long)],
        vec![Client(messages("X"))],
        vec![Client(messages("!"))],
        vec![Client(vec![0, 0, 0, 0, 4])],
    ] {
        let more = vec![Client(messages("Q")), Server(messages("C")), ready(b'I')];
        assert!(!then([odd.clone(), more].concat()), "{odd:?}");
    }
    // A server that speaks first, one that speaks before it was asked for TLS, and a client that does not wait.
    assert!(!is_idle(&[vec![Server(messages("E"))], let_in()].concat()));
    let tls = Client(untyped(80_877_103, b""));
    assert!(!is_idle(&[vec![tls.clone(), Server(b"N!".to_vec())], let_in()].concat()));
    assert!(!is_idle(&[vec![tls.clone(), tls, Server(vec![b'N'])], let_in()].concat()));
    // Version 2 of the protocol, and a cancel request.
    for code in [131_072, 80_877_102] {
        assert!(!is_idle(&[vec![Client(untyped(code, b"12345678"))], let_in()].concat()));
    }
}

fn part() -> impl Strategy<Value = Sent> {
    let client = prop_oneof![
        4 => "[QSFPBEDCpdcfH]{1,4}".prop_map(|kinds| messages(&kinds)),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ];
    let server = prop_oneof![
        4 => "[TDCESNAK12]{1,4}".prop_map(|kinds| messages(&kinds)),
        6 => prop_oneof![Just(b'I'), Just(b'T')].prop_map(|status| message(b'Z', &[status])),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ];
    prop_oneof![client.prop_map(Client), server.prop_map(Server)]
}

/// The same, one byte at a time.
fn in_bytes(sent: &[Sent]) -> Vec<Sent> {
    let one = |part: &Sent| -> Vec<Sent> {
        match part {
            Client(bytes) => bytes.iter().map(|byte| Client(vec![*byte])).collect(),
            Server(bytes) => bytes.iter().map(|byte| Server(vec![*byte])).collect(),
        }
    };
    sent.iter().flat_map(one).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn it_does_not_matter_in_which_pieces_the_bytes_come(
        is_let_in in any::<bool>(), more in prop::collection::vec(part(), 0..12)
    ) {
        let sent = [if is_let_in { let_in() } else { Vec::new() }, more].concat();
        prop_assert_eq!(is_idle(&sent), is_idle(&in_bytes(&sent)));
    }

    #[test]
    fn nothing_is_idle_unless_the_last_of_all_is_the_answer_to_the_last_question(
        more in prop::collection::vec(part(), 1..12)
    ) {
        let sent = [let_in(), more.clone()].concat();
        if is_idle(&sent) {
            let last = more.iter().rev().find(|part| !matches!(part, Client(bytes) | Server(bytes) if bytes.is_empty()));
            let is_ready = matches!(last, None | Some(Server(_)));
            prop_assert!(is_ready, "{last:?}");
        }
    }
}
