//! A DSN that is a URL.
//!
//! In: its scheme and the rest. Out: the parts. Forbidden here: judging them.

use zeroize::Zeroizing;

use super::{Parts, Wrong};

/// Whether the text before `://` can be the scheme of a URL; libpq's words may have `://` in a password.
pub(super) fn is_scheme(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "+:_.-".contains(c))
}

pub(super) fn read(scheme: &str, rest: &str) -> Result<Parts, Wrong> {
    if !is_of_postgres(scheme) {
        return Err(Wrong::Scheme);
    }
    if rest.chars().any(char::is_control) {
        return Err(Wrong::Control);
    }
    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = address.split_once('/').unwrap_or((address, ""));
    let mut parts = Parts { has_tls: true, ..Parts::default() };
    // A host has no @, so one in a password does no harm, unless a slash or a question mark stands there too.
    let servers = match authority.rsplit_once('@') {
        Some(_) if path.contains('@') || query.contains('@') => return Err(Wrong::At),
        Some((login, servers)) => {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            parts.user = Some(decoded(user)?.to_string());
            parts.password = Some(decoded(password)?);
            servers
        }
        None => authority,
    };
    for server in servers.split(',').filter(|_| !servers.is_empty()) {
        let (host, port) = host_and_port(server)?;
        parts.hosts.push(decoded(host)?.to_string());
        parts.ports.push(port.to_owned());
    }
    parts.database = Some(decoded(path)?.to_string());
    parameters(&mut parts, query)?;
    Ok(parts)
}

/// `postgres`, `postgresql`, either with a driver after a plus, and JDBC's.
fn is_of_postgres(scheme: &str) -> bool {
    let scheme = scheme.to_ascii_lowercase();
    let scheme = scheme.strip_prefix("jdbc:").unwrap_or(&scheme);
    let (dialect, driver) = scheme.split_once('+').unwrap_or((scheme, "any"));
    let is_word = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    matches!(dialect, "postgres" | "postgresql") && !driver.is_empty() && is_word(driver)
}

fn host_and_port(server: &str) -> Result<(&str, &str), Wrong> {
    if let Some(rest) = server.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or(Wrong::HostName)?;
        let port = if after.is_empty() { Some("") } else { after.strip_prefix(':') };
        return port.map(|port| (host, port)).ok_or(Wrong::HostName);
    }
    Ok(server.rsplit_once(':').unwrap_or((server, "")))
}

/// Takes the parameters; `sslmode` wins over `ssl`, wherever it stands.
fn parameters(parts: &mut Parts, query: &str) -> Result<(), Wrong> {
    let mut sslmode = None;
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match key {
            "sslmode" => sslmode = Some(decoded(value)?),
            "host" | "hostaddr" | "port" | "user" | "password" | "dbname" | "database" | "ssl" => {
                parts.set(key, decoded(value)?);
            }
            _ => {}
        }
    }
    if let Some(mode) = sslmode {
        parts.set("sslmode", mode);
    }
    Ok(())
}

/// Resolves `%40` and the like. A plus stays a plus, as libpq has it.
fn decoded(text: &str) -> Result<Zeroizing<String>, Wrong> {
    // As large as it can become, so that no copy of a password is left behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let byte = if byte == b'%' { escaped(rest.next(), rest.next()).ok_or(Wrong::Escape)? } else { byte };
        bytes.push(byte);
    }
    str::from_utf8(&bytes).map(|text| Zeroizing::new(text.to_owned())).map_err(|_| Wrong::Escape)
}

fn escaped(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high?)? * 16 + digit(low?)?).ok()
}
