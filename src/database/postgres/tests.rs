use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use futures::future::join_all;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::{Duration as Span, OffsetDateTime};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::super::{Activity, Allowed, Group, MAX_BYTES};
use super::*;

/// Runs a server for as many clients as come, and returns its port.
async fn served<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> u16
where
    F: Future<Output = Option<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    port
}

fn loopback() -> Vec<Network> {
    ["127.0.0.0/8", "::1/128"].map(|network| network.parse().expect("a network")).into()
}

fn dsn(text: &str) -> Dsn {
    Dsn::read(text.as_bytes()).expect("a DSN")
}

/// Reads from a server on loopback, without TLS.
async fn told(port: u16) -> Result<Reading, Doubt> {
    let dsn = dsn(&format!("postgres://app:s3cr3t@127.0.0.1:{port}/shop?sslmode=disable"));
    let told = read(&dsn, None, &loopback()).await;
    assert!(!format!("{told:?}").contains("s3cr3t"));
    told
}

/// One message of the protocol.
fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("a length").to_be_bytes();
    [&[tag][..], &length, body].concat()
}

fn authentication(code: u32, rest: &[u8]) -> Vec<u8> {
    message(b'R', &[&code.to_be_bytes()[..], rest].concat())
}

/// The backend that the servers of these tests promise at the login.
const BACKEND: u32 = 4711;

/// The end of a login that promises a backend.
fn promise(backend: u32) -> Vec<u8> {
    [message(b'K', &[backend.to_be_bytes(), [1, 2, 3, 4]].concat()), ready()].concat()
}

/// A whole login of a server that lets everybody in.
fn login() -> Vec<u8> {
    [authentication(0, b""), promise(BACKEND)].concat()
}

fn error(code: &str, words: &str) -> Vec<u8> {
    message(b'E', format!("SFATAL\0C{code}\0M{words}\0\0").as_bytes())
}

fn ready() -> Vec<u8> {
    message(b'Z', b"I")
}

/// A whole answer of one row.
fn table(columns: &[&str], cells: &[Option<&str>]) -> Vec<u8> {
    let count = u16::try_from(columns.len()).expect("a count").to_be_bytes();
    let mut description = count.to_vec();
    for column in columns {
        description.extend([column.as_bytes(), &[0; 19]].concat());
    }
    let mut row = count.to_vec();
    for cell in cells {
        let length = cell.map_or(-1, |cell| i32::try_from(cell.len()).expect("a length"));
        row.extend([&length.to_be_bytes()[..], cell.unwrap_or_default().as_bytes()].concat());
    }
    [message(b'T', &description), message(b'D', &row), message(b'C', b"SELECT 1\0"), ready()].concat()
}

/// The answer of a server with these connections.
fn limits(max_connections: &str, in_recovery: &str) -> Vec<u8> {
    limits_of(max_connections, in_recovery, &BACKEND.to_string())
}

/// The same, by this backend.
fn limits_of(max_connections: &str, in_recovery: &str, pid: &str) -> Vec<u8> {
    let columns = [
        "max_connections",
        "superuser_reserved",
        "reserved",
        "in_recovery",
        "role",
        "role_limit",
        "is_superuser",
        "database",
        "database_limit",
        "rds_reserved",
        "pid",
    ];
    let cells = ["3", "0", in_recovery, "app", "-1", "f", "shop", "-1", "0", pid].map(Some);
    table(&columns, &[&[Some(max_connections)], &cells[..]].concat())
}

/// The answer to a question that the role may not ask.
fn denied() -> Vec<u8> {
    [error("42501", "permission denied"), ready()].concat()
}

/// Takes what a client sends first, and returns it.
async fn startup<S: AsyncRead + Unpin>(stream: &mut S) -> Option<Vec<u8>> {
    let length = stream.read_u32().await.ok()?;
    let mut body = vec![0; usize::try_from(length).ok()?.checked_sub(4)?];
    stream.read_exact(&mut body).await.ok()?;
    Some(body)
}

/// Plays a PostgreSQL that lets everybody in and gives these answers, one to each question.
async fn plays<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, answers: Vec<Vec<u8>>) -> Option<()> {
    startup(&mut stream).await?;
    stream.write_all(&login()).await.ok()?;
    for answer in answers {
        let question = stream.read_u8().await.ok()?;
        startup(&mut stream).await?;
        assert_eq!(question, b'Q');
        stream.write_all(&answer).await.ok()?;
    }
    let _ = stream.read_to_end(&mut Vec::new()).await;
    Some(())
}

fn class(told: &Result<Reading, Doubt>) -> Option<Class> {
    told.as_ref().err().map(|doubt| doubt.class)
}

#[tokio::test]
async fn a_server_that_answers_gives_a_reading() {
    let columns = ["application", "role", "address", "open", "busy", "shown", "total"];
    let cells = ["api", "app", "10.0.0.7", "5", "2", "5", "8"].map(Some);
    let port = served(move |stream| plays(stream, vec![limits("100", "f"), table(&columns, &cells)])).await;
    let group = Group {
        application: "api".to_owned(),
        user: "app".to_owned(),
        address: "10.0.0.7".parse().ok(),
        open: 5,
        busy: Some(2),
    };
    let allowed = Allowed { connections: 97, source: "max_connections 100 − 3 for superusers".to_owned() };
    let activity = Activity { groups: vec![group], others: 3 };
    assert_eq!(told(port).await, Ok(Reading { allowed, activity: Some(Ok(activity)) }));
}

/// A server whose login ends like this, and that then answers as this backend.
async fn answers_as(end: Vec<u8>, pid: &str) -> u16 {
    let answer = limits_of("100", "f", pid);
    served(move |mut stream| {
        let (end, answer) = (end.clone(), answer.clone());
        async move {
            startup(&mut stream).await?;
            stream.write_all(&[authentication(0, b""), end].concat()).await.ok()?;
            stream.read_u8().await.ok()?;
            startup(&mut stream).await?;
            stream.write_all(&answer).await.ok()
        }
    })
    .await
}

#[tokio::test]
async fn a_server_behind_a_pooler_is_known_by_the_backend_that_answers() {
    let direct = told(answers_as(promise(4711), "4711").await).await.expect("a reading");
    assert_eq!(direct.allowed.source, "max_connections 100 − 3 for superusers");
    for (what, end) in [("another backend", promise(99)), ("none", ready()), ("no backend", promise(0))] {
        let lent = told(answers_as(end, "4711").await).await.expect_err("a limit of somebody else");
        assert_eq!(lent.class, Class::NotUnderstood, "{what}");
        let is_promise = lent.sentence.contains("did not say at the login which backend it is");
        assert_eq!(is_promise, what != "another backend", "{what}: {lent}");
    }
}

#[tokio::test]
async fn without_an_activity_there_is_a_reading_all_the_same() {
    let broken = message(b'?', b"");
    let answers = [denied(), broken, table(&["nonsense"], &[None])];
    for answer in answers {
        let port = served(move |stream| plays(stream, vec![limits("100", "f"), answer.clone()])).await;
        let reading = told(port).await.expect("a reading");
        assert_eq!((reading.allowed.connections, reading.activity), (97, None));
    }
    // One that never comes delays the reading, and no more.
    let port = served(|stream| plays(stream, vec![limits("50", "f"), Vec::new()])).await;
    assert_eq!(told(port).await.map(|reading| reading.allowed.connections), Ok(47));
}

#[tokio::test]
async fn whoever_answers_what_no_server_answers_is_in_doubt() {
    let huge = [&[b'R'][..], &(1_u32 << 30).to_be_bytes()].concat();
    let answers: [(&str, Vec<u8>); 9] = [
        ("closes", Vec::new()),
        ("speaks HTTP", b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n".to_vec()),
        ("speaks SSH", b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()),
        ("half a message", authentication(0, b"")[..6].to_vec()),
        ("a message of a gibibyte", huge),
        ("a message of no length", vec![b'R', 0, 0, 0, 0]),
        ("a row without columns", [login(), message(b'D', &[0, 0]), ready()].concat()),
        ("a login of an unknown kind", authentication(77, b"")),
        ("a password in a ticket", authentication(7, b"")),
    ];
    for (what, answer) in answers {
        let port = served(move |mut stream| {
            let answer = answer.clone();
            async move {
                startup(&mut stream).await?;
                stream.write_all(&answer).await.ok()
            }
        })
        .await;
        let begun = Instant::now();
        let told = told(port).await;
        let class = class(&told);
        assert!(matches!(class, Some(Class::Unreachable | Class::Refused)), "{what}: {told:?}");
        assert!(begun.elapsed() < PATIENCE / 2, "{what}");
    }
}

#[tokio::test]
async fn an_answer_without_an_end_is_cut_off() {
    let notice = message(b'N', &[b'x'; 10_000]);
    let parameter = message(b'S', &[&[b'x'; 5_000][..], &[0], &[b'y'; 5_000], &[0]].concat());
    let row = message(b'D', &[&[0, 1, 0, 0, 0x27, 0x10][..], &[b'1'; 10_000]].concat());
    let described = message(b'T', &[&[0, 1, b'a'][..], &[0; 19]].concat());
    for (first, answer, again) in [
        (Vec::new(), None, notice),
        (authentication(0, b""), None, parameter),
        (login(), Some(described), row),
    ] {
        let (sent, mut all) = tokio::sync::mpsc::unbounded_channel();
        let port = served(move |mut stream| {
            let (first, answer, again, sent) = (first.clone(), answer.clone(), again.clone(), sent.clone());
            async move {
                startup(&mut stream).await?;
                stream.write_all(&first).await.ok()?;
                if let Some(answer) = answer {
                    stream.read_u8().await.ok()?;
                    startup(&mut stream).await?;
                    stream.write_all(&answer).await.ok()?;
                }
                let mut bytes = 0;
                while stream.write_all(&again).await.is_ok() {
                    bytes += again.len();
                }
                sent.send(bytes).ok()
            }
        })
        .await;
        let begun = Instant::now();
        assert_eq!(class(&told(port).await), Some(Class::Unreachable));
        assert!(begun.elapsed() < PATIENCE);
        // What we took, and what the system held for us.
        let sent = u64::try_from(all.recv().await.expect("bytes")).expect("bytes");
        assert!(sent < 16 * MAX_BYTES, "{sent}");
    }
}

#[tokio::test]
async fn whoever_says_nothing_is_given_up_in_time() {
    let scripts: [(&str, Vec<Vec<u8>>); 4] = [
        ("nothing at all", vec![]),
        ("half of the login", vec![authentication(0, b"")[..5].to_vec()]),
        ("the login, and no answer", vec![login()]),
        ("a byte at a time", vec![vec![b'S']; 100]),
    ];
    let asked = scripts.map(|(what, script)| async move {
        let port = served(move |mut stream| {
            let script = script.clone();
            async move {
                for part in script {
                    stream.write_all(&part).await.ok()?;
                    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
                }
                std::future::pending().await
            }
        })
        .await;
        let begun = Instant::now();
        let told = told(port).await;
        assert!(begun.elapsed() < PATIENCE + PATIENCE / 2, "{what}");
        let sentence = format!("127.0.0.1:{port} did not answer within 10 s: is it a PostgreSQL server?");
        assert_eq!(told, Err(Doubt::new(Class::Unreachable, sentence)), "{what}");
    });
    join_all(asked).await;
}

#[tokio::test]
async fn a_server_that_repeats_the_password_is_not_quoted() {
    let port = served(|mut stream| async move {
        startup(&mut stream).await?;
        stream.write_all(&authentication(3, b"")).await.ok()?;
        let _tag = stream.read_u8().await.ok()?;
        let password = startup(&mut stream).await?;
        let password = String::from_utf8(password).ok()?;
        assert_eq!(password, "s3cr3t\0");
        stream.write_all(&error("28000", &format!("no {}", password.trim_end_matches('\0')))).await.ok()
    })
    .await;
    let sentence = format!(
        "127.0.0.1:{port} does not let user app in (its words repeat the password and are left out): check the role \
         and pg_hba.conf"
    );
    assert_eq!(told(port).await, Err(Doubt::new(Class::Refused, sentence)));
}

#[tokio::test]
async fn a_server_cannot_make_the_login_long() {
    let port = served(|mut stream| async move {
        startup(&mut stream).await?;
        stream.write_all(&authentication(10, b"SCRAM-SHA-256\0\0")).await.ok()?;
        let _tag = stream.read_u8().await.ok()?;
        let first = String::from_utf8_lossy(&startup(&mut stream).await?).into_owned();
        let (_, nonce) = first.split_once(",r=")?;
        let next = format!("r={nonce}server,s=c2FsdHNhbHQ=,i=4294967295");
        stream.write_all(&authentication(11, next.as_bytes())).await.ok()?;
        std::future::pending().await
    })
    .await;
    let begun = Instant::now();
    let sentence = format!(
        "127.0.0.1:{port} wants a login that poolbudget does not know, or does not know the password itself"
    );
    assert_eq!(told(port).await, Err(Doubt::new(Class::Refused, sentence)));
    assert!(begun.elapsed() < PATIENCE / 2);
}

#[tokio::test]
async fn a_server_that_wants_a_password_is_told_that_there_is_none() {
    for (code, rest) in [(3, &b""[..]), (5, b"salt"), (10, b"SCRAM-SHA-256\0\0")] {
        let port = served(move |mut stream| async move {
            startup(&mut stream).await?;
            stream.write_all(&authentication(code, rest)).await.ok()?;
            std::future::pending().await
        })
        .await;
        let dsn = dsn(&format!("postgres://app@127.0.0.1:{port}/shop?sslmode=disable"));
        let sentence = format!("127.0.0.1:{port} asks for a password, and the connection string has none");
        assert_eq!(read(&dsn, None, &loopback()).await, Err(Doubt::new(Class::Refused, sentence)));
    }
}

#[tokio::test]
async fn the_next_host_is_asked_if_one_gives_no_reading() {
    let standby = served(|stream| plays(stream, vec![limits("100", "t")])).await;
    let primary = served(|stream| plays(stream, vec![limits("200", "f"), denied()])).await;
    let full = served(|mut stream| async move {
        startup(&mut stream).await?;
        stream.write_all(&error("53300", "sorry, too many clients already")).await.ok()
    })
    .await;
    let of = |ports: [u16; 3]| async move {
        let hosts = ports.map(|port| format!("127.0.0.1:{port}")).join(",");
        let dsn = dsn(&format!("postgres://app:s3cr3t@{hosts}/shop?sslmode=disable"));
        read(&dsn, None, &loopback()).await.map(|reading| reading.allowed.connections)
    };
    // Nobody listens at port 1.
    assert_eq!(of([1, standby, primary]).await, Ok(197));
    let in_recovery = "the server is in recovery (a standby): name the primary";
    assert_eq!(of([standby, 1, 1]).await, Err(Doubt::new(Class::NotUnderstood, in_recovery)));
    assert_eq!(of([full, primary, 1]).await.map_err(|doubt| doubt.class), Err(Class::Refused));
}

#[tokio::test]
async fn no_address_is_asked_that_leads_back_to_this_host() {
    let dsn = dsn("postgres://app:s3cr3t@localhost/shop?sslmode=disable");
    let sentence = "localhost:5432 leads back to poolbudget's own host or link, where it asks no database";
    assert_eq!(read(&dsn, None, &[]).await, Err(Doubt::new(Class::Unreachable, sentence)));
}

mod encrypted {
    use super::*;

    /// An authority, and how a certificate of it differs from a good one.
    struct Authority(CertifiedIssuer<'static, KeyPair>);

    impl Authority {
        fn new() -> Self {
            let mut params = CertificateParams::new(Vec::new()).expect("an authority");
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            Self(
                CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key"))
                    .expect("an authority"),
            )
        }

        fn pem(&self) -> String {
            self.0.pem()
        }

        /// What a server shows: a certificate for a name, that is good until so many days from now.
        fn acceptor(&self, name: &str, days: i64) -> TlsAcceptor {
            let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
            params.not_before = OffsetDateTime::now_utc() - Span::days(30);
            params.not_after = OffsetDateTime::now_utc() + Span::days(days);
            let key = KeyPair::generate().expect("a key");
            let certificate = params.signed_by(&key, &self.0).expect("a certificate");
            let der: CertificateDer<'static> = certificate.der().clone();
            let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
            let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("versions")
                .with_no_client_auth()
                .with_single_cert(vec![der], key)
                .expect("a certificate");
            TlsAcceptor::from(Arc::new(config))
        }
    }

    async fn encrypts(acceptor: TlsAcceptor) -> u16 {
        served(move |mut stream| {
            let acceptor = acceptor.clone();
            async move {
                startup(&mut stream).await?;
                stream.write_all(b"S").await.ok()?;
                plays(acceptor.accept(stream).await.ok()?, vec![limits("100", "f"), denied()]).await
            }
        })
        .await
    }

    async fn told(host: &str, port: u16, ca: Option<&str>) -> Result<u32, Doubt> {
        let dsn = dsn(&format!("postgres://app:s3cr3t@{host}:{port}/shop?sslmode=prefer"));
        let told = read(&dsn, ca.map(str::as_bytes), &loopback()).await;
        told.map(|reading| reading.allowed.connections)
    }

    fn unreachable(sentence: String) -> Result<u32, Doubt> {
        Err(Doubt::new(Class::Unreachable, sentence))
    }

    #[tokio::test]
    async fn a_server_whose_name_an_authority_vouches_for_is_read() {
        let authority = Authority::new();
        for host in ["localhost", "127.0.0.1"] {
            let port = encrypts(authority.acceptor(host, 1)).await;
            assert_eq!(told(host, port, Some(&authority.pem())).await, Ok(97));
        }
    }

    #[tokio::test]
    async fn a_server_that_could_be_any_other_is_not_asked() {
        let (authority, other) = (Authority::new(), Authority::new());
        let port = encrypts(authority.acceptor("localhost", 1)).await;
        let unknown = format!(
            "the certificate of localhost:{port} is of an authority that is not trusted: name the authority's in \
             caSecretRef"
        );
        assert_eq!(told("localhost", port, Some(&other.pem())).await, unreachable(unknown.clone()));
        assert_eq!(told("localhost", port, None).await, unreachable(unknown));
        let sentence = format!(
            "the certificate of 127.0.0.1:{port} is for another name: connect by one of the names in it"
        );
        assert_eq!(told("127.0.0.1", port, Some(&authority.pem())).await, unreachable(sentence));
        let port = encrypts(authority.acceptor("localhost", -1)).await;
        let sentence = format!("the certificate of localhost:{port} has expired: renew it");
        assert_eq!(told("localhost", port, Some(&authority.pem())).await, unreachable(sentence));
    }

    #[tokio::test]
    async fn a_server_without_tls_gets_no_password() {
        let offered = "set sslmode=disable in the connection string if the network in between is trusted";
        for (answer, sentence) in [
            (&b"N"[..], format!("offers no TLS: {offered}")),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", "is no PostgreSQL server, or lets nobody in".to_owned()),
            // What follows in plain text is no part of the encryption.
            (b"SE\0\0\0\x08oops", "broke off while TLS was set up".to_owned()),
        ] {
            let (sent, mut got) = tokio::sync::mpsc::unbounded_channel();
            let port = served(move |mut stream| {
                let sent = sent.clone();
                async move {
                    startup(&mut stream).await?;
                    stream.write_all(answer).await.ok()?;
                    let mut more = Vec::new();
                    let _ = stream.read_to_end(&mut more).await;
                    sent.send(more).ok()
                }
            })
            .await;
            let told = told("127.0.0.1", port, None).await;
            assert_eq!(told, unreachable(format!("127.0.0.1:{port} {sentence}")));
            let got = got.recv().await.expect("bytes");
            assert!(!got.windows(6).any(|bytes| bytes == b"s3cr3t"));
        }
    }

    #[tokio::test]
    async fn a_bundle_that_would_verify_nothing_is_refused_before_anybody_is_asked() {
        let authority = Authority::new().pem();
        let port = served(|stream| plays(stream, vec![limits("100", "f"), denied()])).await;
        for off in ["sslmode=disable", "ssl=false"] {
            let dsn = dsn(&format!("postgres://app:s3cr3t@127.0.0.1:{port}/shop?{off}"));
            let told = read(&dsn, Some(authority.as_bytes()), &loopback()).await;
            let sentence = "the connection string turns TLS off, so that caSecretRef verifies nothing: set \
                            sslmode=verify-full in it, or remove caSecretRef (--limit-ca)";
            assert_eq!(told, Err(Doubt::new(Class::SecretInvalid, sentence)), "{off}");
            let told = read(&dsn, None, &loopback()).await.map(|reading| reading.allowed.connections);
            assert_eq!(told, Ok(97), "{off}");
        }
    }

    #[tokio::test]
    async fn a_bundle_that_is_none_is_refused_before_anybody_is_asked() {
        let told = told("127.0.0.1", 1, Some("nonsense")).await;
        assert_eq!(told.map_err(|doubt| doubt.class), Err(Class::SecretInvalid));
    }
}

mod whatever_it_sends {
    use proptest::prelude::*;

    use super::*;

    /// A message that is near enough to a real one to get past the first look.
    fn near() -> impl Strategy<Value = Vec<u8>> {
        let tag = prop::sample::select(b"RSKZTDCEINAGHWdcstn123v?".to_vec());
        let body = prop::collection::vec(prop_oneof![Just(0_u8), any::<u8>(), 60_u8..90], 0..40);
        let off = prop_oneof![8 => Just(0_i64), 1 => -6_i64..6];
        (tag, body, off).prop_map(|(tag, body, off)| {
            let length = u32::try_from(4 + i64::try_from(body.len()).unwrap_or(0) + off).unwrap_or(0);
            [&[tag][..], &length.to_be_bytes(), &body].concat()
        })
    }

    fn good() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            Just(authentication(0, b"")),
            Just(authentication(5, b"salt")),
            Just(authentication(10, b"SCRAM-SHA-256\0\0")),
            Just(authentication(11, b"r=x,s=c2FsdA==,i=1")),
            Just(ready()),
            Just(limits("100", "f")),
            Just(error("28P01", "no")),
        ]
    }

    proptest! {
        /// The program ends at a panic, so none may be in a library either.
        #[test]
        fn it_is_an_answer_or_a_doubt(
            messages in prop::collection::vec(prop_oneof![near(), good()], 0..8),
            is_let_in in any::<bool>(),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
            runtime.block_on(async {
                let (ours, mut theirs) = duplex(1 << 16);
                let login = if is_let_in { login() } else { Vec::new() };
                theirs.write_all(&[login, messages.concat()].concat()).await.expect("room");
                theirs.shutdown().await.expect("an end");
                let dsn = dsn("postgres://app:s3cr3t@db/shop?sslmode=disable");
                let _ = session::over(Box::new(ours), &dsn, "db:5432").await;
            });
        }
    }
}
