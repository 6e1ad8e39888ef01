//! One connection to one server: opened, asked, closed.
//!
//! In: a DSN and which of its hosts. Out: a [`Reading`], or a [`Doubt`]. No more than [`MAX_BYTES`] are taken, and whoever
//! calls bounds the time. Forbidden here: what an answer means.

use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, duplex, join};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, Error, NoTls};
use tokio_rustls::TlsConnector;

use super::super::dsn::{Dsn, Host};
use super::super::{Doubt, MAX_BYTES, Reading, reach};
use super::refusal::{Step, doubt};
use super::table::Table;
use super::{activity, console, limits, tls};
use crate::network::Network;

/// Our `application_name`.
const NAME: &str = "poolbudget";
/// How long the question may take that a reading can do without.
const ACTIVITY: Duration = Duration::from_secs(2);
/// How long a goodbye may take; without one the server keeps the backend until it notices.
const GOODBYE: Duration = Duration::from_millis(500);

/// A connection, encrypted or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Asks one of the hosts of a DSN.
pub(super) async fn ask(
    dsn: &Dsn,
    host: &Host,
    connector: Option<&TlsConnector>,
    networks: &[Network],
) -> Result<Reading, Doubt> {
    let stream = bounded(reach::connect(&host.name, host.port, networks).await?);
    let stream: Box<dyn Stream> = match connector {
        Some(connector) => Box::new(tls::secured(stream, host, connector).await?),
        None => Box::new(stream),
    };
    over(stream, dsn, &host.shown()).await
}

/// A connection that ends after [`MAX_BYTES`].
fn bounded(stream: TcpStream) -> impl Stream {
    let (read, write) = stream.into_split();
    join(read.take(MAX_BYTES), write)
}

/// Logs in, asks and says goodbye over a connection that is open.
pub(super) async fn over(stream: Box<dyn Stream>, dsn: &Dsn, server: &str) -> Result<Reading, Doubt> {
    let session = config(dsn).connect_raw(stream, NoTls).await;
    let (client, connection) = session.map_err(|error| doubt(&error, Step::Login, dsn, server))?;
    let mut connection = Box::pin(connection);
    // It owns the client: with the last answer nobody can ask any more, and the connection hangs up.
    let mut asked = pin!(questions(client, dsn));
    let early = tokio::select! {
        biased;
        asked = &mut asked => Some(asked),
        _ = &mut connection => None,
    };
    let asked = match early {
        Some(asked) => {
            let _ = timeout(GOODBYE, connection).await;
            asked
        }
        None => {
            // What came before the end is an answer all the same; the rest is told that there was an end.
            drop(connection);
            asked.await
        }
    };
    asked.map_err(|trouble| match trouble {
        Trouble::Broken(error) => doubt(&error, Step::Question, dsn, server),
        Trouble::Answer(doubt) => doubt,
    })
}

/// Encryption is what the connection brings, and nothing is asked of the server that a pooler could refuse.
fn config(dsn: &Dsn) -> Config {
    let mut config = Config::new();
    config.user(dsn.user()).dbname(dsn.database()).application_name(NAME).ssl_mode(SslMode::Disable);
    if let Some(password) = dsn.password() {
        config.password(password);
    }
    config
}

/// Why a question has no answer.
enum Trouble {
    /// The connection, or the server's refusal.
    Broken(Error),
    /// What it answered.
    Answer(Doubt),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Broken(error)
    }
}

impl From<Doubt> for Trouble {
    fn from(doubt: Doubt) -> Self {
        Self::Answer(doubt)
    }
}

async fn questions(client: Client, dsn: &Dsn) -> Result<Reading, Trouble> {
    if dsn.is_console() {
        let allowed = console::allowed(
            &answer(&client, console::CONFIG).await?,
            &answer(&client, console::DATABASES).await?,
            &answer(&client, console::USERS).await?,
        )?;
        let activity = dispensable(&client, console::POOLS).await;
        let activity = activity.and_then(|pools| console::activity(&pools)).map(Ok);
        return Ok(Reading { allowed, activity });
    }
    let limits = limits::limits(&answer(&client, limits::QUESTION).await?, promised(&client).await)?;
    let activity = dispensable(&client, &activity::question(limits.bound)).await;
    let activity = activity.and_then(|backends| activity::activity(&backends)).map(Ok);
    Ok(Reading { allowed: limits.allowed, activity })
}

async fn answer(client: &Client, question: &str) -> Result<Table, Error> {
    client.simple_query(question).await.map(|messages| Table::of(&messages))
}

/// The number of the backend that the server promised at the login, if it did; no backend has the number 0. It is part of
/// what would cancel a query, and nowhere else: so the request is written down, and sent to nobody.
async fn promised(client: &Client) -> Option<i32> {
    let (request, mut written) = duplex(64);
    client.cancel_token().cancel_query_raw(request, NoTls).await.ok()?;
    let _length_and_kind = written.read_u64().await.ok()?;
    written.read_i32().await.ok().filter(|pid| *pid != 0)
}

/// The answer to a question without which there is a reading all the same.
async fn dispensable(client: &Client, question: &str) -> Option<Table> {
    timeout(ACTIVITY, answer(client, question)).await.ok()?.ok()
}
