//! What a PostgreSQL server, or a PgBouncer in front of one, says of its own limit.
//!
//! In: a DSN, the authorities to trust, the networks that databases are in. Out: a [`Reading`], or a [`Doubt`].
//!
//! One connection is opened, asked and closed. Everything is asked by simple queries, of which a pooler in any mode lets
//! each through to some backend of the server. Nothing is `SET`: a pooler would lend the changed backend to others.
//!
//! | module | what it is |
//! |---|---|
//! | [`session`] | one connection: opened, asked, closed |
//! | [`tls`] | encryption, and whether the server is the one that is meant |
//! | [`refusal`] | why a server lets nobody in, in words |
//! | [`limits`], [`activity`], [`console`] | the questions, and what the answers mean |
//! | [`table`], [`text`] | an answer as plain values; words of others as part of a sentence |
//!
//! Forbidden here: what follows from a reading, a password in a text.

mod activity;
mod console;
mod limits;
mod refusal;
mod session;
mod table;
mod text;
mod tls;

use tokio::time::timeout;

use super::dsn::Dsn;
use super::{Class, Doubt, PATIENCE, Reading};
use crate::network::Network;

/// Asks the servers of a DSN, one after another, until one gives a reading. All together have [`PATIENCE`], each its
/// share of it. `ca` is a bundle of certificates in PEM, which stand in for the roots that browsers trust.
///
/// Only addresses in `networks` are asked; if there are none, all but those that lead back to this host.
///
/// # Errors
/// When none gives one: the first server's doubt, or that of the server that refuses to let us in. Nobody is asked if
/// there are authorities and no TLS: one of the two is not meant.
pub async fn read(dsn: &Dsn, ca: Option<&[u8]>, networks: &[Network]) -> Result<Reading, Doubt> {
    if ca.is_some() && !dsn.has_tls() {
        let sentence = "the connection string turns TLS off, so that caSecretRef verifies nothing: set \
                        sslmode=verify-full in it, or remove caSecretRef (--limit-ca)";
        return Err(Doubt::new(Class::SecretInvalid, sentence));
    }
    let tls = dsn.has_tls().then(|| tls::connector(ca)).transpose()?;
    let share = PATIENCE / u32::try_from(dsn.hosts().len()).unwrap_or(u32::MAX).max(1);
    let mut first = None;
    for host in dsn.hosts() {
        let asked = timeout(share, session::ask(dsn, host, tls.as_ref(), networks)).await;
        let doubt = match asked {
            Ok(Ok(reading)) => return Ok(reading),
            Ok(Err(doubt)) => doubt,
            Err(_) => late(&host.shown(), share.as_secs()),
        };
        if doubt.class == Class::Refused {
            return Err(doubt);
        }
        first.get_or_insert(doubt);
    }
    Err(first.unwrap_or_else(|| Doubt::new(Class::SecretInvalid, "the connection string names no host")))
}

fn late(server: &str, seconds: u64) -> Doubt {
    let sentence = format!("{server} did not answer within {seconds} s: is it a PostgreSQL server?");
    Doubt::new(Class::Unreachable, sentence)
}

#[cfg(test)]
mod tests;
