//! The DSN of a database: where it is, who logs in, and with which password.
//!
//! In: the bytes under a key of a Secret. Out: a [`Dsn`], or what is wrong with it, in a sentence without any part of it.
//!
//! It is read as the application's own library reads it: a URL of libpq (`postgres://`, `postgresql://`), of SQLAlchemy
//! (`postgresql+psycopg2://`) or of JDBC (`jdbc:postgresql://`), or libpq's words (`host=db user=app`). Of the parameters
//! only those count that say where and who, and whether there is TLS.
//!
//! `sslmode=disable` turns TLS off. With every other mode, and without one, the server's certificate and its name are
//! verified, as with `verify-full`; that is stricter than what `prefer`, `require` and `verify-ca` mean elsewhere,
//! because the limit of a server that could be any other is no limit.
//!
//! Forbidden here: connecting, the password in a text.

use std::fmt;

use zeroize::Zeroizing;

use super::{Class, Doubt, reach};

mod url;
mod words;

/// The most bytes of a DSN.
pub const MOST_BYTES: usize = 4096;
/// The most hosts that a DSN may name.
pub const MOST_HOSTS: usize = 3;
/// The port of PostgreSQL.
const PORT: u16 = 5432;
/// The longest host name there is.
const LONGEST_HOST: usize = 253;
/// The database that PgBouncer answers itself.
const CONSOLE: &str = "pgbouncer";

/// Where a database is, who logs in, and with which password. Its Debug shows no password.
#[derive(Clone, PartialEq, Eq)]
pub struct Dsn {
    hosts: Vec<Host>,
    user: String,
    password: Option<Zeroizing<String>>,
    database: String,
    has_tls: bool,
}

/// One of the servers of a DSN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name or address, without brackets.
    pub name: String,
    /// Its port.
    pub port: u16,
}

impl Host {
    /// As people read it: `db.shop:5432`.
    #[must_use]
    pub fn shown(&self) -> String {
        reach::shown(&self.name, self.port)
    }
}

impl Dsn {
    /// Reads a DSN.
    ///
    /// # Errors
    /// When it is none, or lacks a host or a user. The sentence contains nothing of it.
    pub fn read(bytes: &[u8]) -> Result<Self, Doubt> {
        Parts::of(bytes)
            .and_then(Self::of)
            .map_err(|wrong| Doubt::new(Class::SecretInvalid, wrong.sentence()))
    }

    fn of(parts: Parts) -> Result<Self, Wrong> {
        let user = parts.user.filter(|user| !user.is_empty()).ok_or(Wrong::NoUser)?;
        let database = parts.database.filter(|database| !database.is_empty());
        let database = database.unwrap_or_else(|| user.clone());
        for name in [&user, &database] {
            if name.chars().any(char::is_control) {
                return Err(Wrong::Control);
            }
        }
        let password = parts.password.filter(|password| !password.is_empty());
        if password.as_ref().is_some_and(|password| password.contains('\0')) {
            return Err(Wrong::Control);
        }
        let hosts = hosts(&parts.hosts, &parts.ports)?;
        Ok(Self { hosts, user, password, database, has_tls: parts.has_tls })
    }

    /// The servers, one to [`MOST_HOSTS`] of them, in the order in which they are tried.
    #[must_use]
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The servers as people read them: `db.shop:5432`.
    #[must_use]
    pub fn server(&self) -> String {
        self.hosts.iter().map(Host::shown).collect::<Vec<_>>().join(",")
    }

    /// The role that logs in.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Its password, if it has one.
    #[must_use]
    pub fn password(&self) -> Option<&str> {
        self.password.as_ref().map(|password| password.as_str())
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Whether the connection is encrypted and the server verified.
    #[must_use]
    pub const fn has_tls(&self) -> bool {
        self.has_tls
    }

    /// Whether it leads to PgBouncer's console, not to a database.
    #[must_use]
    pub fn is_console(&self) -> bool {
        self.database == CONSOLE
    }
}

impl fmt::Debug for Dsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dsn")
            .field("server", &self.server())
            .field("user", &self.user)
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

/// What is wrong with a DSN. It has no place for any part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Empty,
    Long,
    Text,
    Control,
    Scheme,
    Form,
    Escape,
    Quote,
    At,
    NoUser,
    NoHost,
    Socket,
    HostName,
    Hosts,
    Port,
    Ports,
}

impl Wrong {
    fn sentence(self) -> String {
        match self {
            Self::Empty => "the connection string is empty".into(),
            Self::Long => format!("the connection string has more than {MOST_BYTES} bytes"),
            Self::Text => "the connection string is no UTF-8 text".into(),
            Self::Control => {
                "the connection string has a control character, such as a line break, in it: write it on one \
                 line".into()
            }
            Self::Scheme => {
                "the connection string is for no PostgreSQL: it begins like a URL, but not with postgres:// or \
                 postgresql://"
                    .into()
            }
            Self::Form => {
                "this is no connection string: write postgres://user:password@host/database, or host=… user=… \
                 password=…"
                    .into()
            }
            Self::Escape => {
                "the connection string has a % that is not followed by two hexadecimal digits of UTF-8 text: \
                 write %25 for the character itself"
                    .into()
            }
            Self::Quote => "the connection string has a quote or a backslash without its end".into(),
            Self::At => {
                "the connection string has an @ after its host: in a password, write %40 for an @, %2F for a \
                 slash and %3F for a question mark"
                    .into()
            }
            Self::NoUser => {
                "the connection string names no user: write postgres://user:password@host/database; in a \
                 password, write %2F for a slash and %3F for a question mark"
                    .into()
            }
            Self::NoHost => "the connection string names no host".into(),
            Self::Socket => {
                "the connection string names a Unix socket, which poolbudget cannot reach from its own pod: \
                 name a host"
                    .into()
            }
            Self::HostName => {
                "the host in the connection string is no name and no address; an IPv6 address stands in \
                 brackets".into()
            }
            Self::Hosts => format!("the connection string names more than {MOST_HOSTS} hosts"),
            Self::Port => {
                "the port in the connection string is no number from 1 to 65535; in a password, write %2F for \
                 a slash and %3A for a colon"
                    .into()
            }
            Self::Ports => "the connection string has another number of ports than of hosts".into(),
        }
    }
}

/// What a DSN says, before it is judged.
#[derive(Default)]
struct Parts {
    hosts: Vec<String>,
    /// One for each host, one for all of them, or none.
    ports: Vec<String>,
    user: Option<String>,
    password: Option<Zeroizing<String>>,
    database: Option<String>,
    has_tls: bool,
}

impl Parts {
    fn of(bytes: &[u8]) -> Result<Self, Wrong> {
        if bytes.len() > MOST_BYTES {
            return Err(Wrong::Long);
        }
        let text = str::from_utf8(bytes).map_err(|_| Wrong::Text)?.trim();
        match text.split_once("://") {
            _ if text.is_empty() => Err(Wrong::Empty),
            Some((scheme, rest)) if url::is_scheme(scheme) => url::read(scheme, rest),
            _ => words::read(text),
        }
    }

    /// Takes one parameter; those that do not say where or who are of no interest.
    fn set(&mut self, key: &str, value: Zeroizing<String>) {
        let list = |value: &str| value.split(',').map(|part| part.trim().to_owned()).collect();
        match key {
            "host" => self.hosts = list(&value),
            "hostaddr" if self.hosts.is_empty() => self.hosts = list(&value),
            "port" => self.ports = list(&value),
            "user" => self.user = Some(value.to_string()),
            "password" => self.password = Some(value),
            "dbname" | "database" => self.database = Some(value.to_string()),
            "sslmode" | "ssl" => self.has_tls = !is_off(&value),
            _ => {}
        }
    }
}

/// Whether a value of `sslmode`, or of what asyncpg, JDBC and Node.js call `ssl`, turns TLS off.
fn is_off(value: &str) -> bool {
    ["disable", "false", "0", "no", "off"].iter().any(|off| value.eq_ignore_ascii_case(off))
}

fn hosts(names: &[String], ports: &[String]) -> Result<Vec<Host>, Wrong> {
    if names.len() > MOST_HOSTS {
        return Err(Wrong::Hosts);
    }
    if ports.len() > 1 && ports.len() != names.len() {
        return Err(Wrong::Ports);
    }
    let one_for_all = ports.first().map_or("", String::as_str);
    let port = |i: usize| ports.get(i).map_or(one_for_all, String::as_str);
    let read = names.iter().enumerate().map(|(i, name)| host(name, port(i)));
    let hosts = read.collect::<Result<Vec<_>, _>>()?;
    if hosts.is_empty() { Err(Wrong::NoHost) } else { Ok(hosts) }
}

fn host(name: &str, port: &str) -> Result<Host, Wrong> {
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    if name.starts_with(['/', '@']) {
        return Err(Wrong::Socket);
    }
    let is_name = || name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    let is_address = || name.parse::<std::net::Ipv6Addr>().is_ok();
    match name.len() {
        0 => return Err(Wrong::NoHost),
        1..=LONGEST_HOST if is_name() || is_address() => {}
        _ => return Err(Wrong::HostName),
    }
    let port = if port.is_empty() { Ok(PORT) } else { port.parse().map_err(|_| Wrong::Port) };
    match port? {
        0 => Err(Wrong::Port),
        port => Ok(Host { name: name.to_owned(), port }),
    }
}

#[cfg(test)]
mod tests;
