//! Where a pod answers how it uses its pools: the value of the annotation `poolbudget.dev/pool-status`.
//!
//! In: text of a tenant, such as `:8000/debug/db-pool`. Out: a port and a path. The host is always the pod's own address,
//! so nothing here can name one.

/// The most characters of a path.
pub const MAX_PATH: usize = 256;

/// What a value looks like, as a regular expression of CEL: a port and a path of the characters that RFC 3986 allows.
pub const PATTERN: &str = "^:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])/[A-Za-z0-9._~!$&()*+,;=:@%/?-]{0,255}$";

/// What a path looks like, as a regular expression.
pub const PATH: &str = "^/[A-Za-z0-9._~!$&()*+,;=:@%/?-]{0,255}$";

/// Where a pod answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolStatus {
    /// The port of the pod.
    pub port: u16,
    /// The path, with its query.
    pub path: Box<str>,
}

impl PoolStatus {
    /// Reads `:PORT/PATH`; none when it is anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix(':')?;
        let (port, path) = text.split_at_checked(text.find('/')?)?;
        let digits = port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
        let port = port.parse().ok().filter(|_| digits)?;
        Self::at(port, path)
    }

    /// This path at this port; none when the path has other characters than a path may have.
    #[must_use]
    pub fn at(port: u16, path: &str) -> Option<Self> {
        let fits = path.starts_with('/') && path.len() <= MAX_PATH && path.bytes().all(is_of_a_path);
        (fits && port > 0).then(|| Self { port, path: path.into() })
    }
}

const fn is_of_a_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'.' | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b':'
                | b'@'
                | b'%'
                | b'/'
                | b'?'
                | b'-'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_and_a_path_are_read_and_nothing_else() {
        let longest = format!(":65535/{}", "a".repeat(255));
        for (text, port, path) in [
            (":8000/debug/db-pool", 8000, "/debug/db-pool"),
            (":1/", 1, "/"),
            (":9090/metrics?name[]".trim_end_matches("[]"), 9090, "/metrics?name"),
            (longest.as_str(), 65535, longest.trim_start_matches(":65535")),
        ] {
            assert_eq!(PoolStatus::parse(text), Some(PoolStatus { port, path: path.into() }), "{text}");
        }
        let too_long = format!("{longest}a");
        for text in [
            "",
            ":",
            "8000/x",
            ":8000",
            ":/x",
            ":0/x",
            ":08/x",
            ":65536/x",
            ":+80/x",
            ":80x/x",
            "http://10.0.0.1:80/x",
            ":80/ x",
            ":80/x\r\nHost: a",
            ":80/\u{e9}",
            ":80/<x>",
            ":80/x#y",
            "10.0.0.1:80/x",
            &too_long,
        ] {
            assert_eq!(PoolStatus::parse(text), None, "{text:?}");
        }
    }
}
