//! What a database, or the vendor that runs it, says of its own limit and of the connections that are open.
//!
//! In: where to ask, and a secret to ask with. Out: a [`Reading`], or a [`Doubt`] that says why there is none. Whoever
//! answers is not trusted: time, bytes and numbers have bounds. Forbidden here: what follows from an answer, keeping a
//! secret, a secret in a text.

pub mod dsn;
pub mod https;
pub mod postgres;
pub mod reach;
pub mod supabase;

use std::net::IpAddr;
use std::time::Duration;

/// No reading takes longer, with everything.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// The most bytes that are read of all answers of one reading.
pub const MAX_BYTES: u64 = 1 << 20;
/// The largest limit that is believed: the largest that PostgreSQL can be set to is 262,143, and a pooler may allow more.
pub const MOST: u32 = 1_000_000;
/// The most groups of clients that are taken of one server, the largest first.
pub const GROUPS: usize = 500;

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// How many connections there may be.
    pub allowed: Allowed,
    /// Which are open, or why that was not read; none if nobody asked.
    pub activity: Option<Result<Activity, Doubt>>,
}

/// How many connections a source allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// The number, from 1 to [`MOST`].
    pub connections: u32,
    /// Where it comes from, as part of a sentence, such as `max_connections 100 − 3 for superusers`.
    pub source: String,
}

/// The connections that are open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Groups of connections that have the same name, user and address, the largest first; at most [`GROUPS`].
    pub groups: Vec<Group>,
    /// Connections in no group of the list.
    pub others: u32,
}

/// Connections of one client, as far as the server tells clients apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// `application_name`; empty if the client gave none. At most 63 bytes.
    pub application: String,
    /// The role.
    pub user: String,
    /// The address, if the server shows it.
    pub address: Option<IpAddr>,
    /// How many are open.
    pub open: u32,
    /// How many of them are in a query or a transaction, if the server shows it.
    pub busy: Option<u32>,
}

/// What kind of doubt it is: whose turn it is to do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// poolbudget may not read the Secret.
    Forbidden,
    /// The Secret, its key, or what stands there cannot be used.
    SecretInvalid,
    /// No server was reached, in time and by a connection that can be trusted.
    Unreachable,
    /// The server was reached and refuses: wrong password, no right, too many requests.
    Refused,
    /// The server answered with what is no limit.
    NotUnderstood,
}

/// Why nothing was read. Its text names no secret.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{sentence}")]
pub struct Doubt {
    /// What kind of doubt it is.
    pub class: Class,
    /// What happened and what to do, without a full stop at its end.
    pub sentence: String,
    /// How long not to ask again, if the server said so.
    pub pause: Option<Duration>,
}

impl Doubt {
    /// A doubt.
    #[must_use]
    pub fn new(class: Class, sentence: impl Into<String>) -> Self {
        Self { class, sentence: sentence.into(), pause: None }
    }

    /// The same, and where the text stands that it is about.
    #[must_use]
    pub fn in_secret(self, name: &str, key: &str) -> Self {
        Self { sentence: format!("Secret/{name}, key {key}: {}", self.sentence), ..self }
    }
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Forbidden, Self::SecretInvalid, Self::Unreachable, Self::Refused, Self::NotUnderstood];

    /// Its name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::SecretInvalid => "secret_invalid",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::NotUnderstood => "not_understood",
        }
    }
}

/// A number that a source gave, if it can be a limit.
///
/// # Errors
/// When it is 0, negative, or larger than any server allows.
pub fn believed(what: &str, number: i64) -> Result<u32, Doubt> {
    let number = u32::try_from(number).ok().filter(|number| (1..=MOST).contains(number));
    number.ok_or_else(|| Doubt::new(Class::NotUnderstood, format!("{what} is no number from 1 to {MOST}")))
}
