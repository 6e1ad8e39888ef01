//! One question to the API of a vendor, over HTTPS.
//!
//! In: an origin, a path, a token. Out: the status, how long to wait, the body; or why there is none. Who answers is not
//! trusted: time, head and body have a bound, a redirect is not followed, certificate and name are verified. Forbidden
//! here: what an answer means; the token in a text.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
    USER_AGENT,
};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use super::reach::{self, Closed};
use super::{Class, Doubt, MAX_BYTES, PATIENCE};

/// The most bytes of the head of an answer that are held.
const HEAD: usize = 16 << 10;
/// The longest token that is sent.
const TOKEN: usize = 4 << 10;
/// The header by which an API says in how many seconds it answers again.
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Whom to ask: a scheme, a host and a port, and whose certificates are trusted.
#[derive(Clone)]
pub struct Origin {
    host: String,
    port: u16,
    /// Host and port as they were written.
    authority: String,
    /// None asks without TLS, which only this host itself may be asked.
    tls: Option<Tls>,
    /// How long an answer may take, with everything.
    patience: Duration,
}

#[derive(Clone)]
struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

/// Why an address cannot be asked.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum NotAnOrigin {
    /// It is no such address.
    #[error("the address is not of the form https://host or https://host:port, without path, user and query")]
    Form,
    /// The token would cross a network in the clear.
    #[error("the address begins with http://, which is for a loopback address only: use https://")]
    Clear,
    /// There is nobody to trust.
    #[error("the CA bundle is not one or more certificates in PEM, of {MAX_BYTES} bytes at most")]
    Bundle,
    /// The TLS library refuses its own settings.
    #[error("TLS cannot be set up")]
    Settings,
}

/// How a request says who asks.
#[derive(Clone, Copy)]
pub enum Token<'a> {
    /// As it is.
    Bearer(&'a str),
    /// As the password of a user.
    Basic(&'static str, &'a str),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// `Retry-After` in seconds; none if it is a date.
    pub retry_after: Option<u64>,
    /// `x-ratelimit-reset` in seconds.
    pub reset: Option<u64>,
    /// The body of a success; empty for every other status, whose body is not read.
    pub body: Bytes,
}

impl Origin {
    /// The origin at this address; trusted are the authorities of this PEM bundle, or else those that browsers trust.
    ///
    /// # Errors
    /// When the address is no origin, when it is not encrypted and leads out of this host, or when the bundle is none.
    pub fn new(base: &str, bundle: Option<&str>) -> Result<Self, NotAnOrigin> {
        let uri: Uri = base.parse().map_err(|_| NotAnOrigin::Form)?;
        let authority = uri.authority().ok_or(NotAnOrigin::Form)?.as_str();
        let written = uri.host().filter(|host| !host.is_empty()).ok_or(NotAnOrigin::Form)?;
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() || base.contains('#') {
            return Err(NotAnOrigin::Form);
        }
        let usual = match uri.scheme_str() {
            Some("https") => 443,
            Some("http") => 80,
            _ => return Err(NotAnOrigin::Form),
        };
        let port = match authority.strip_prefix(written).ok_or(NotAnOrigin::Form)? {
            "" => usual,
            port => port.strip_prefix(':').and_then(decimal).ok_or(NotAnOrigin::Form)?,
        };
        let host = written.trim_start_matches('[').trim_end_matches(']').to_owned();
        let tls = if usual == 443 { Some(Tls::new(&host, bundle)?) } else { None };
        if tls.is_none() && !is_loopback(&host) {
            return Err(NotAnOrigin::Clear);
        }
        Ok(Self { authority: authority.to_owned(), host, port, tls, patience: PATIENCE })
    }

    /// Asks for what is at a path; the body of a success may have this many bytes.
    ///
    /// # Errors
    /// When there is no answer that can be read.
    pub async fn get(&self, path: &str, token: Token<'_>, most: u64) -> Result<Answer, Doubt> {
        self.ask(Method::GET, path, token, None, most).await
    }

    /// Sends JSON to a path; the body of a success may have this many bytes.
    ///
    /// # Errors
    /// When there is no answer that can be read.
    pub async fn post_json(
        &self,
        path: &str,
        token: Token<'_>,
        body: String,
        most: u64,
    ) -> Result<Answer, Doubt> {
        self.ask(Method::POST, path, token, Some(body), most).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        token: Token<'_>,
        body: Option<String>,
        most: u64,
    ) -> Result<Answer, Doubt> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.authority.as_str())
            .header(USER_AGENT, concat!("poolbudget/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/json, text/plain")
            .header(CONNECTION, "close")
            .header(AUTHORIZATION, token.header()?);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let unusable = |_| Doubt::new(Class::NotUnderstood, format!("{self} cannot be asked for that path"));
        let request = request.body(Full::from(body.unwrap_or_default())).map_err(unusable)?;
        let answered = tokio::time::timeout(self.patience, self.answer(request, most.min(MAX_BYTES))).await;
        answered.unwrap_or_else(|_| Err(self.late()))
    }

    /// The doubt about an answer that does not come.
    pub(super) fn late(&self) -> Doubt {
        self.unreachable("did not answer in time: check that poolbudget may reach it")
    }

    async fn answer(&self, request: Request<Full<Bytes>>, most: u64) -> Result<Answer, Doubt> {
        let stream = self.connect().await?;
        let Some(tls) = &self.tls else { return self.exchange(stream, request, most).await };
        let connector = TlsConnector::from(Arc::clone(&tls.config));
        let secured = connector.connect(tls.name.clone(), stream).await;
        let secured = secured.map_err(|error| self.unreachable(distrusted(&error)))?;
        self.exchange(secured, request, most).await
    }

    async fn connect(&self) -> Result<TcpStream, Doubt> {
        // A name says nothing about where it leads.
        let may_be_asked = |address: IpAddr| self.tls.is_some() || address.to_canonical().is_loopback();
        let opened = reach::open(&self.host, self.port, may_be_asked).await;
        opened.map_err(|why| {
            self.unreachable(match why {
                Closed::Unknown => "has a name that cannot be resolved: check it, and the cluster's DNS",
                Closed::NotAsked | Closed::Refused | Closed::Silent => {
                    "accepts no connection: check the address, and that a NetworkPolicy lets poolbudget out"
                }
            })
        })
    }

    async fn exchange<S>(&self, stream: S, request: Request<Full<Bytes>>, most: u64) -> Result<Answer, Doubt>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let handshake = http1::Builder::new().max_buf_size(HEAD).handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| self.broken(&error))?;
        let asked = async {
            let answer = sender.send_request(request).await.map_err(|error| self.broken(&error))?;
            let (head, body) = answer.into_parts();
            let body = if head.status.is_success() { self.collect(body, most).await? } else { Bytes::new() };
            let (retry_after, reset) = (seconds(&head.headers, RETRY_AFTER), seconds(&head.headers, RESET));
            Ok(Answer { status: head.status, retry_after, reset, body })
        };
        // The connection is driven only while its answer is awaited, and closed with it.
        let drives = async {
            let _ = connection.await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            answered = asked => answered,
            () = drives => Err(self.late()),
        }
    }

    async fn collect(&self, body: Incoming, most: u64) -> Result<Bytes, Doubt> {
        let large = || {
            let sentence =
                format!("{self} sent more than {MAX_BYTES} bytes in all: check that it is the API's address");
            Doubt::new(Class::NotUnderstood, sentence)
        };
        if body.size_hint().lower() > most {
            return Err(large());
        }
        let body = Limited::new(body, usize::try_from(most).unwrap_or(usize::MAX)).collect().await;
        body.map(http_body_util::Collected::to_bytes).map_err(|error| {
            if error.is::<LengthLimitError>() {
                return large();
            }
            self.unreachable("broke off in the middle of its answer")
        })
    }

    fn broken(&self, error: &hyper::Error) -> Doubt {
        if error.is_parse() || error.is_parse_too_large() {
            let sentence =
                format!("{self} did not answer in HTTP, or with too long a head: check the address");
            return Doubt::new(Class::NotUnderstood, sentence);
        }
        self.unreachable("closed the connection without an answer")
    }

    fn unreachable(&self, what: &str) -> Doubt {
        Doubt::new(Class::Unreachable, format!("{self} {what}"))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({self})")
    }
}

impl Tls {
    /// TLS 1.2 and 1.3 by the one provider that is built in.
    fn new(host: &str, bundle: Option<&str>) -> Result<Self, NotAnOrigin> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| NotAnOrigin::Form)?;
        let roots = match bundle {
            Some(bundle) => trusted(bundle).ok_or(NotAnOrigin::Bundle)?,
            None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        };
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|_| NotAnOrigin::Settings)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), name })
    }
}

/// The authorities of a bundle; none if there is not one, or one that cannot be read.
fn trusted(bundle: &str) -> Option<RootCertStore> {
    u64::try_from(bundle.len()).ok().filter(|bytes| *bytes <= MAX_BYTES)?;
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        roots.add(authority.ok()?).ok()?;
    }
    (!roots.is_empty()).then_some(roots)
}

/// Whether a host is certainly this one. `localhost` is checked again when it is resolved.
fn is_loopback(host: &str) -> bool {
    let address = host.parse::<IpAddr>();
    address.map_or_else(|_| host.eq_ignore_ascii_case("localhost"), |ip| ip.to_canonical().is_loopback())
}

/// A number of digits alone, which is not 0.
fn decimal(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0)
}

impl Token<'_> {
    /// The header with it. The texts that are made of it here are wiped; the HTTP library's own copy in its write buffer is
    /// freed with the connection.
    fn header(self) -> Result<HeaderValue, Doubt> {
        let unusable = || {
            let sentence = format!(
                "the token is empty, longer than {TOKEN} bytes, or has blanks, line ends or characters beyond ASCII: put \
                 the token alone into the Secret"
            );
            Doubt::new(Class::SecretInvalid, sentence)
        };
        let (Self::Bearer(token) | Self::Basic(_, token)) = self;
        if !(1..=TOKEN).contains(&token.len()) || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(unusable());
        }
        let text = match self {
            Self::Bearer(token) => joined(&["Bearer ", token]),
            Self::Basic(user, password) => {
                joined(&["Basic ", &Zeroizing::new(BASE64.encode(joined(&[user, ":", password]).as_bytes()))])
            }
        };
        let mut value = HeaderValue::from_str(&text).map_err(|_| unusable())?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// One text, with room for all of it from the start: a text that grows leaves copies behind.
fn joined(parts: &[&str]) -> Zeroizing<String> {
    let length = parts.iter().map(|part| part.len()).fold(0, usize::saturating_add);
    let mut text = Zeroizing::new(String::with_capacity(length));
    parts.iter().for_each(|part| text.push_str(part));
    text
}

/// A header that is a number of seconds.
fn seconds(headers: &HeaderMap, name: HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// Why there is no connection that can be trusted, without a word that the other side chose.
fn distrusted(error: &std::io::Error) -> &'static str {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(reason)) => match reason {
            // A bad signature is that of an authority of the same name.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "has a certificate of an authority that is not trusted: if a proxy answers in its place, let poolbudget \
                 out without that proxy"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "has a certificate for another name: check the address"
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "has a certificate that is no longer valid"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "has a certificate that is not valid yet: check the clocks"
            }
            _ => "has a certificate that cannot be trusted",
        },
        _ => "and poolbudget did not agree on TLS: check the address and its port",
    }
}

#[cfg(test)]
pub(super) mod played;
#[cfg(test)]
mod tests;
