use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

use super::played::{Act, Played, answer, ok};
use super::*;

const SECRET: &str = "sbp_0123456789abcdef";

/// Short where the time has to run out.
const SHORT: Duration = Duration::from_millis(500);

async fn ask(play: Act, patience: Duration) -> Result<Answer, Doubt> {
    let played = Played::new(move |_| play.clone()).await;
    let origin = Origin { patience, ..played.origin() };
    let answered = origin.get("/v1/x", Token::Bearer(SECRET), MAX_BYTES).await;
    assert_eq!(played.paths(), ["GET /v1/x"], "asked once, whatever the answer is");
    answered
}

#[test]
fn an_origin_is_a_scheme_a_host_and_a_port() {
    use NotAnOrigin::{Clear, Form};
    let written = [
        ("https://api.supabase.com", Ok("https://api.supabase.com")),
        ("https://api.supabase.com/", Ok("https://api.supabase.com")),
        ("https://10.0.0.1:8443", Ok("https://10.0.0.1:8443")),
        ("https://[2001:db8::1]:8443", Ok("https://[2001:db8::1]:8443")),
        ("http://127.0.0.1:8080", Ok("http://127.0.0.1:8080")),
        ("http://127.9.9.9", Ok("http://127.9.9.9")),
        ("http://[::1]:8080", Ok("http://[::1]:8080")),
        ("http://localhost:8080", Ok("http://localhost:8080")),
        ("http://api.supabase.com", Err(Clear)),
        ("http://localhost.example", Err(Clear)),
        ("http://127.0.0.1.example", Err(Clear)),
        ("http://10.0.0.1", Err(Clear)),
        ("http://169.254.169.254", Err(Clear)),
        ("http://[::ffff:10.0.0.1]", Err(Clear)),
        ("http://0.0.0.0", Err(Clear)),
        ("", Err(Form)),
        ("api.supabase.com", Err(Form)),
        ("ftp://api.supabase.com", Err(Form)),
        ("https://", Err(Form)),
        ("https://:443", Err(Form)),
        ("https://api.supabase.com:", Err(Form)),
        ("https://api.supabase.com:0", Err(Form)),
        ("https://api.supabase.com:99999", Err(Form)),
        ("https://api.supabase.com:+44", Err(Form)),
        ("https://user:word@api.supabase.com", Err(Form)),
        ("https://127.0.0.1@api.supabase.com", Err(Form)),
        ("http://127.0.0.1@api.supabase.com", Err(Form)),
        ("https://api.supabase.com/v1", Err(Form)),
        ("https://api.supabase.com?a=b", Err(Form)),
        ("https://api.supabase.com/#a", Err(Form)),
        ("https://api.supabase.com\r\nX: y", Err(Form)),
        ("https://a b", Err(Form)),
    ];
    for (base, expected) in written {
        let origin = Origin::new(base, None).map(|origin| origin.to_string());
        assert_eq!(origin.as_deref(), expected.as_ref().map(|text| *text), "{base}");
    }
}

#[test]
fn a_bundle_without_a_certificate_trusts_nobody_and_is_refused() {
    let begun = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let long = " ".repeat(1 + (1 << 20));
    for bundle in ["", "a word", begun, "-----BEGIN CERTIFICATE-----", &long] {
        let origin = Origin::new("https://api.supabase.com", Some(bundle));
        assert_eq!(origin.err(), Some(NotAnOrigin::Bundle));
    }
}

#[tokio::test]
async fn a_request_carries_the_token_and_says_who_asks() {
    let played = Played::new(|_| answer("201 Created", "", "[1]")).await;
    let origin = played.origin();
    let answered = origin.get("/v1/x", Token::Bearer(SECRET), 3).await.unwrap();
    assert_eq!((answered.status.as_u16(), &answered.body[..]), (201, &b"[1]"[..]));
    origin.post_json("/v1/y", Token::Bearer(SECRET), "{\"a\":1}".to_owned(), 3).await.unwrap();
    let [got, posted] = &played.requests()[..] else { panic!("{:?}", played.paths()) };
    assert!(got.starts_with("GET /v1/x HTTP/1.1\r\n"));
    assert!(got.contains(&format!("host: {}\r\n", played.address)), "{got}");
    assert!(got.contains(&format!("authorization: Bearer {SECRET}\r\n")), "{got}");
    assert!(posted.starts_with("POST /v1/y HTTP/1.1\r\n"));
    assert!(posted.contains("content-type: application/json\r\n"), "{posted}");
    assert!(posted.ends_with("\r\n\r\n{\"a\":1}"), "{posted}");
}

#[tokio::test]
async fn the_two_headers_on_waiting_are_read_as_seconds() {
    let limited = answer("429 Too Many", "Retry-After: 7\r\nX-RateLimit-Reset: 58\r\n", "{}");
    let read = |answer: Answer| (answer.status.as_u16(), answer.retry_after, answer.reset);
    assert_eq!(ask(limited, PATIENCE).await.map(read), Ok((429, Some(7), Some(58))));
    let dated =
        answer("429 Too Many", "Retry-After: Fri, 27 Nov 2026 07:28:00 GMT\r\nx-ratelimit-reset: -1\r\n", "");
    assert_eq!(ask(dated, PATIENCE).await.map(read), Ok((429, None, None)));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_no_way() {
    let redirect = answer("302 Found", "Location: http://127.0.0.1:1/\r\n", "there");
    let answered = ask(redirect, PATIENCE).await.unwrap();
    assert_eq!((answered.status.as_u16(), answered.body.len()), (302, 0));
}

#[tokio::test]
async fn every_fault_of_a_server_is_a_doubt_in_time() {
    let head = "HTTP/1.1 200 OK\r\n";
    let most = usize::try_from(MAX_BYTES).unwrap();
    let long = "x".repeat(64 << 10);
    let say = |text: &str| Act::Say(text.to_owned());
    let faults = [
        ("silence", Act::Hold(String::new()), Class::Unreachable, "did not answer in time"),
        ("half a head", Act::Hold(head.to_owned()), Class::Unreachable, "did not answer in time"),
        (
            "a slow drip",
            Act::Drip(format!("{head}Content-Length: 900\r\n\r\n")),
            Class::Unreachable,
            "in time",
        ),
        (
            "a body that hangs",
            Act::Hold(format!("{head}Content-Length: 9\r\n\r\n[")),
            Class::Unreachable,
            "in time",
        ),
        ("a reset", Act::Reset, Class::Unreachable, "closed the connection"),
        ("nothing", say(""), Class::Unreachable, "closed the connection"),
        ("half a body", say(&format!("{head}Content-Length: 9\r\n\r\n[")), Class::Unreachable, "broke off"),
        (
            "half a chunk",
            say(&format!("{head}Transfer-Encoding: chunked\r\n\r\n9\r\n[")),
            Class::Unreachable,
            "broke off",
        ),
        (
            "an endless body",
            Act::Repeat(format!("{head}\r\n"), long.clone()),
            Class::NotUnderstood,
            "more than",
        ),
        (
            "endless chunks",
            Act::Repeat(format!("{head}Transfer-Encoding: chunked\r\n\r\n"), "4\r\n[[[[\r\n".repeat(4096)),
            Class::NotUnderstood,
            "more than",
        ),
        (
            "a long body",
            say(&format!("{head}Content-Length: {}\r\n\r\n", most + 1)),
            Class::NotUnderstood,
            "more than",
        ),
        ("a long head", say(&format!("{head}X: {long}\r\n\r\n")), Class::NotUnderstood, "too long a head"),
        (
            "an endless head",
            Act::Repeat(head.to_owned(), format!("X: {}\r\n", "x".repeat(99))),
            Class::NotUnderstood,
            "too long a head",
        ),
        ("another protocol", say("SSH-2.0-x\r\n"), Class::NotUnderstood, "did not answer in HTTP"),
        (
            "two lengths",
            say(&format!("{head}Content-Length: 2\r\nContent-Length: 1\r\n\r\n[]")),
            Class::NotUnderstood,
            "HTTP",
        ),
    ];
    for (what, act, class, sentence) in faults {
        let began = std::time::Instant::now();
        let patience = if sentence.contains("in time") { SHORT } else { PATIENCE };
        let doubt = ask(act, patience).await.unwrap_err();
        let late = patience + Duration::from_secs(5);
        assert!(began.elapsed() < late, "{what} took {:?}", began.elapsed());
        assert_eq!(doubt.class, class, "{what}: {doubt}");
        assert!(doubt.sentence.contains(sentence), "{what}: {doubt}");
        assert!(!format!("{doubt} {doubt:?}").contains(SECRET), "{what}");
    }
}

#[tokio::test]
async fn a_body_may_have_as_many_bytes_as_are_left() {
    let played = Played::new(|_| ok("[1,2]")).await;
    let origin = played.origin();
    assert!(origin.get("/", Token::Bearer(SECRET), 5).await.is_ok());
    let doubt = origin.get("/", Token::Bearer(SECRET), 4).await.unwrap_err();
    assert_eq!(doubt.class, Class::NotUnderstood);
}

#[tokio::test]
async fn nobody_at_the_port_is_unreachable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let origin = Origin::new(&format!("http://{address}"), None).unwrap();
    let doubt = origin.get("/", Token::Bearer(SECRET), 1).await.unwrap_err();
    assert_eq!(doubt.class, Class::Unreachable);
    assert!(doubt.sentence.contains("accepts no connection"), "{doubt}");
}

#[tokio::test]
async fn a_token_that_no_header_may_have_is_the_secrets_fault_and_is_not_sent() {
    let played = Played::new(|_| ok("[]")).await;
    let long = "x".repeat(TOKEN + 1);
    for token in ["", "two words", "line\nend", "a\r\nX-Other: b", "ü", "\u{0}", &long] {
        let doubt = played.origin().get("/", Token::Bearer(token), 9).await.unwrap_err();
        assert_eq!(doubt.class, Class::SecretInvalid);
        assert!(token.is_empty() || !doubt.sentence.contains(token));
    }
    assert_eq!(played.paths(), Vec::<String>::new());
}

#[test]
fn neither_the_header_nor_the_origin_shows_the_token_when_it_is_printed() {
    let header = Token::Bearer(SECRET).header().unwrap();
    assert!(header.is_sensitive());
    assert!(!format!("{header:?}").contains(SECRET));
    let origin = Origin::new("https://api.supabase.com", None).unwrap();
    assert_eq!(format!("{origin:?}"), "Origin(https://api.supabase.com)");
}

/// An authority, and a server certificate of it for a name.
fn certified(name: &str) -> (String, TlsAcceptor) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    (authority.pem(), TlsAcceptor::from(Arc::new(config)))
}

/// The address of a server that answers whoever connects, without TLS.
async fn plain() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    address
}

#[tokio::test]
async fn only_a_certificate_of_a_trusted_authority_for_this_name_is_asked() {
    let (authority, acceptor) = certified("127.0.0.1");
    let (other, _) = certified("127.0.0.1");
    let (elsewhere, foreign) = certified("api.example");
    let right = Played::with(|_| ok("[1]"), Some(acceptor)).await;
    let wrong = Played::with(|_| ok("[1]"), Some(foreign)).await;
    let plain = plain().await;
    let cases = [
        (&right.address, Some(authority.as_str()), None),
        (&right.address, Some(other.as_str()), Some("an authority that is not trusted")),
        (&right.address, None, Some("an authority that is not trusted")),
        (&wrong.address, Some(elsewhere.as_str()), Some("a certificate for another name")),
        (&plain, Some(authority.as_str()), Some("did not agree on TLS")),
    ];
    for (address, bundle, refused) in cases {
        let origin = Origin::new(&format!("https://{address}"), bundle).unwrap();
        match (origin.get("/v1/x", Token::Bearer(SECRET), MAX_BYTES).await, refused) {
            (Ok(answer), None) => assert_eq!(&answer.body[..], b"[1]"),
            (Err(doubt), Some(sentence)) => {
                assert_eq!(doubt.class, Class::Unreachable);
                assert!(doubt.sentence.contains(sentence), "{doubt}");
                assert!(!doubt.sentence.contains("api.example"), "{doubt}");
            }
            (answered, refused) => panic!("{answered:?}, expected {refused:?}"),
        }
    }
    assert_eq!(
        (right.paths().len(), wrong.paths().len()),
        (1, 0),
        "the token went to the right server alone"
    );
}
