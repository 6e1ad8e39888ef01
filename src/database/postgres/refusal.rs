//! Why a server lets nobody in, or does not answer, in words.
//!
//! In: an error of the protocol. Out: a [`Doubt`] that says what to do. Forbidden here: a password in it, and words of
//! the server without a bound.

use tokio_postgres::Error;

use super::super::dsn::Dsn;
use super::super::{Class, Doubt};
use super::text;

/// When it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Before we were let in.
    Login,
    /// After it.
    Question,
}

/// How poolers say that they have no room; all but the last are Supavisor's, of several versions, under a code that says
/// nothing.
const POOLER_FULL: [&str; 7] = [
    "EMAXCONN",
    "ECHECKOUTTIMEOUT",
    "EMAXPOOLSREACHED",
    "MaxClientsInSessionMode",
    "Max client connections reached",
    "max clients reached",
    "no more connections allowed",
];

/// What an error means.
pub(super) fn doubt(error: &Error, step: Step, dsn: &Dsn, server: &str) -> Doubt {
    match error.as_db_error() {
        Some(said) => by_code(said.code().code(), said.message(), step, dsn, server),
        None => broken(error, dsn, server),
    }
}

/// What a refusal means that has a code: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn by_code(code: &str, words: &str, step: Step, dsn: &Dsn, server: &str) -> Doubt {
    let said = text::quoted(words, dsn.password());
    let user = text::name(dsn.user());
    let is_full = POOLER_FULL.iter().any(|full| words.contains(full));
    let (class, sentence) = match code {
        _ if is_full => {
            (Class::Refused, format!("the pooler at {server} is full and did not let poolbudget in ({said})"))
        }
        "53300" => (
            Class::Refused,
            format!(
                "{server} is full and did not let poolbudget in ({said}): keep a connection for it in reserved"
            ),
        ),
        "28P01" => (
            Class::Refused,
            format!("{server} refuses the password of user {user}: correct it in the Secret"),
        ),
        "28000" => (
            Class::Refused,
            format!("{server} does not let user {user} in ({said}): check the role and pg_hba.conf"),
        ),
        "3D000" => {
            let database = text::name(dsn.database());
            (Class::Refused, format!("{server} has no database {database}: correct the connection string"))
        }
        "57P03" => (Class::Unreachable, format!("{server} does not accept connections now ({said})")),
        "57P01" | "57P02" => (Class::Unreachable, format!("{server} was shut down while it was asked")),
        _ if step == Step::Login => (Class::Refused, format!("{server} refuses the connection ({said})")),
        _ => (Class::NotUnderstood, format!("{server} does not say its limit ({said})")),
    };
    Doubt::new(class, sentence)
}

/// What it means if there was no answer of the protocol.
fn broken(error: &Error, dsn: &Dsn, server: &str) -> Doubt {
    // Its own words are one of a fixed list, without what caused it.
    let (class, sentence) = match error.to_string().as_str() {
        "invalid configuration" if dsn.password().is_none() => {
            (Class::Refused, format!("{server} asks for a password, and the connection string has none"))
        }
        "authentication error" => (
            Class::Refused,
            format!(
                "{server} wants a login that poolbudget does not know, or does not know the password itself"
            ),
        ),
        _ => (
            Class::Unreachable,
            format!("{server} broke off, or answered what no PostgreSQL server does: check host and port"),
        ),
    };
    Doubt::new(class, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: &str, words: &str, step: Step) -> (Class, String) {
        let dsn = Dsn::read(b"postgres://app:s3cr3t@db/shop").expect("a DSN");
        let doubt = by_code(code, words, step, &dsn, "db:5432");
        (doubt.class, doubt.sentence)
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        for (code, words, class, sentence) in [
            (
                "28P01",
                "password authentication failed for user \"app\"",
                Class::Refused,
                "db:5432 refuses the password of user app: correct it in the Secret",
            ),
            (
                "28000",
                "no pg_hba.conf entry for host",
                Class::Refused,
                "db:5432 does not let user app in (no pg_hba.conf entry for host): check the role and pg_hba.conf",
            ),
            (
                "3D000",
                "database \"shop\" does not exist",
                Class::Refused,
                "db:5432 has no database shop: correct the connection string",
            ),
            (
                "53300",
                "sorry, too many clients already",
                Class::Refused,
                "db:5432 is full and did not let poolbudget in (sorry, too many clients already): keep a connection \
                 for it in reserved",
            ),
            (
                "57P03",
                "the database system is starting up",
                Class::Unreachable,
                "db:5432 does not accept connections now (the database system is starting up)",
            ),
            (
                "57P01",
                "terminating connection",
                Class::Unreachable,
                "db:5432 was shut down while it was asked",
            ),
            (
                "XX000",
                "(EMAXCONNSESSION) max clients reached in session mode",
                Class::Refused,
                "the pooler at db:5432 is full and did not let poolbudget in ((EMAXCONNSESSION) max clients reached in \
                 session mode)",
            ),
            (
                "08P01",
                "no more connections allowed (max_client_conn)",
                Class::Refused,
                "the pooler at db:5432 is full and did not let poolbudget in (no more connections allowed \
                 (max_client_conn))",
            ),
            (
                "XX000",
                "Tenant or user not found",
                Class::Refused,
                "db:5432 refuses the connection (Tenant or user not found)",
            ),
        ] {
            assert_eq!(of(code, words, Step::Login), (class, sentence.to_owned()), "{code}");
        }
    }

    #[test]
    fn an_error_after_the_login_is_an_answer_that_is_not_understood() {
        let sentence = "db:5432 does not say its limit (unrecognized configuration parameter)";
        let unknown = of("42704", "unrecognized configuration parameter", Step::Question);
        assert_eq!(unknown, (Class::NotUnderstood, sentence.to_owned()));
    }

    #[test]
    fn words_that_repeat_the_password_are_left_out_whatever_the_code() {
        for code in ["28000", "28P01", "3D000", "53300", "57P03", "57P01", "XX000", ""] {
            for step in [Step::Login, Step::Question] {
                for words in ["you said s3cr3t", "EMAXCONN s3cr3t", "s3\u{1b}cr3t"] {
                    assert!(!of(code, words, step).1.contains("s3cr3t"), "{code} {words}");
                }
            }
        }
    }

    #[test]
    fn words_of_a_server_have_a_bound() {
        let long = "x".repeat(100_000);
        assert!(of("28000", &long, Step::Login).1.len() < 400);
    }
}
