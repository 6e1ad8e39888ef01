//! The server with a real TLS client, like an API server.

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::telemetry::http::Readiness;
use crate::webhook::CERTIFICATE;
use crate::webhook::certificate::{Held, Lives, renewed};

const HOST: &str = "poolbudget-webhook.there.svc";
const SOON: Duration = Duration::from_secs(20);

struct Served {
    address: SocketAddr,
    held: Held,
    shown: Shown,
    metrics: Metrics,
    readiness: Readiness,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

fn made() -> Held {
    let now = k8s_openapi::jiff::Timestamp::now();
    renewed(None, HOST, Lives::default(), now).unwrap().unwrap()
}

async fn served() -> Served {
    let (metrics, readiness, stop) = (Metrics::default(), Readiness::default(), CancellationToken::new());
    let shown = Shown::new(metrics.clone(), readiness.clone());
    let held = made();
    assert!(shown.show(&held));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (show, count, until) = (shown.clone(), metrics.clone(), stop.clone());
    let serving = tokio::spawn(async move { serve(listener, &show, count, until).await });
    Served { address, held, shown, metrics, readiness, stop, serving }
}

impl Served {
    async fn connect_with(
        &self,
        trusted: &Held,
        versions: &[&'static SupportedProtocolVersion],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(
            CertificateDer::pem_slice_iter(trusted.authorities.as_bytes()).map(Result::unwrap),
        );
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(self.address).await?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(HOST).unwrap(), stream).await
    }

    async fn connect(&self) -> TlsStream<TcpStream> {
        self.connect_with(&self.held, rustls::ALL_VERSIONS).await.unwrap()
    }

    /// One request on a connection of its own: the status and the body.
    async fn ask(&self, head: &str, body: &str) -> (u16, String) {
        let mut stream = self.connect().await;
        let request = format!("{head} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).await.unwrap();
        answer(&mut stream).await
    }
}

/// Reads one answer; its head states its length.
async fn answer(stream: &mut TlsStream<TcpStream>) -> (u16, String) {
    let mut read = Vec::new();
    let whole = async {
        loop {
            if let Some(answer) = parsed(&read) {
                return answer;
            }
            assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0, "{}", String::from_utf8_lossy(&read));
        }
    };
    tokio::time::timeout(SOON, whole).await.unwrap()
}

fn parsed(read: &[u8]) -> Option<(u16, String)> {
    let text = String::from_utf8_lossy(read);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let whole = body.len() >= length.parse().unwrap();
    whole.then(|| (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned()))
}

fn review() -> String {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "one", "operation": "CREATE",
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "object": {
                "metadata": {"labels": {"poolbudget.dev/budget": "main"}},
                "spec": {"containers": [{"name": "app"}]},
            },
        },
    })
    .to_string()
}

#[tokio::test]
async fn a_review_is_answered_over_either_version_of_tls_and_counted() {
    let served = served().await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut stream = served.connect_with(&served.held, &[version]).await.unwrap();
        let body = review();
        let request = format!(
            "POST /mutate?timeout=5s HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        // Twice on one connection: API servers keep connections open.
        for _ in 0..2 {
            stream.write_all(request.as_bytes()).await.unwrap();
            let (code, body) = answer(&mut stream).await;
            let answer: Value = serde_json::from_str(&body).unwrap();
            assert_eq!((code, &answer["response"]["uid"]), (200, &json!("one")));
            assert_eq!(answer["response"]["patchType"], "JSONPatch");
        }
    }
    let (code, body) = served.ask("POST /validate", &review()).await;
    assert_eq!((code, body.contains("\"allowed\":true")), (200, true), "{body}");
    let metrics = served.metrics.render();
    assert!(metrics.contains(r#"admission_reviews_total{path="/mutate",outcome="changed"} 4"#), "{metrics}");
    assert!(metrics.contains(r#"admission_reviews_total{path="/validate",outcome="passed"} 1"#), "{metrics}");
    assert!(metrics.contains("admission_duration_seconds_count 5"), "{metrics}");
}

#[tokio::test]
async fn what_is_no_review_gets_a_sentence_and_no_answer() {
    let served = served().await;
    for (head, body, code, said) in [
        (
            "POST /mutate",
            "{}",
            400,
            "the body is /, this webhook answers admission.k8s.io/v1/AdmissionReview\n",
        ),
        ("POST /mutate", "{", 400, "the body is not an AdmissionReview: "),
        ("POST /elsewhere", "", 404, "try /mutate or /validate\n"),
        ("GET /mutate", "", 405, "POST an AdmissionReview\n"),
    ] {
        let (found, text) = served.ask(head, body).await;
        assert_eq!(found, code, "{head} {body}");
        assert!(text.starts_with(said), "{head} {body}: {text}");
    }
    let metrics = served.metrics.render();
    assert!(
        metrics.contains(r#"admission_reviews_total{path="/mutate",outcome="unanswered"} 2"#),
        "{metrics}"
    );
}

#[tokio::test]
async fn a_body_beyond_every_object_is_refused_whether_its_length_is_told_or_not() {
    let served = served().await;
    let mut stream = served.connect().await;
    let length = BODY + 1;
    let head = format!("POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(answer(&mut stream).await, (413, "a review has at most 7 MiB\n".to_owned()));

    let (mut read, mut write) = tokio::io::split(served.connect().await);
    let sending = tokio::spawn(async move {
        let head = "POST /mutate HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
        write.write_all(head.as_bytes()).await?;
        let chunk = [b"10000\r\n", &[b' '; 0x1_0000][..], b"\r\n"].concat();
        for _ in 0..=BODY / 0x1_0000 {
            write.write_all(&chunk).await?;
        }
        write.flush().await
    });
    let mut text = String::new();
    // The server may close before everything is sent: its answer comes first.
    let _ = tokio::time::timeout(SOON, read.read_to_string(&mut text)).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 413 "), "{text}");
    let _ = sending.await.unwrap();
    // The room of both is free again.
    assert_eq!(served.ask("POST /mutate", &review()).await.0, 200);
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_new_connections_and_open_ones_go_on() {
    let served = served().await;
    let mut open = served.connect().await;
    let new = made();
    assert!(served.shown.show(&new));
    assert!(served.connect_with(&served.held, rustls::ALL_VERSIONS).await.is_err());
    assert!(served.connect_with(&new, rustls::ALL_VERSIONS).await.is_ok());
    let body = review();
    let request = format!("POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    open.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(answer(&mut open).await.0, 200);
    // A certificate that cannot be shown changes nothing.
    assert!(!served.shown.show(&Held { certificate: new.certificate.clone() + "x", ..Held::default() }));
    assert!(served.connect_with(&new, rustls::ALL_VERSIONS).await.is_ok());
}

#[tokio::test]
async fn it_is_ready_with_a_certificate_and_refuses_tls_without() {
    let readiness = Readiness::default();
    let shown = Shown::new(Metrics::default(), readiness.clone());
    assert_eq!(readiness.missing(), [CERTIFICATE]);
    assert!(shown.show(&made()));
    assert_eq!(readiness.missing(), [""; 0]);
    let mut served = served().await;
    assert_eq!(served.readiness.missing(), [""; 0]);
    served.shown = Shown::new(Metrics::default(), Readiness::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    served.address = listener.local_addr().unwrap();
    let (show, until) = (served.shown.clone(), served.stop.clone());
    tokio::spawn(async move { serve(listener, &show, Metrics::default(), until).await });
    assert!(served.connect_with(&served.held, rustls::ALL_VERSIONS).await.is_err());
}

#[tokio::test]
async fn told_to_stop_it_answers_what_has_begun_and_takes_nothing_new() {
    let served = served().await;
    let mut begun = served.connect().await;
    let mut idle = served.connect().await;
    let body = review();
    let (first, rest) = body.split_at(20);
    let head = format!("POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{first}", body.len());
    begun.write_all(head.as_bytes()).await.unwrap();
    // An answer on another connection shows that what was sent before has arrived.
    assert_eq!(served.ask("POST /mutate", &review()).await.0, 200);
    served.stop.cancel();
    let mut nothing = Vec::new();
    tokio::time::timeout(SOON, idle.read_to_end(&mut nothing)).await.unwrap().unwrap();
    assert!(!served.serving.is_finished());
    begun.write_all(rest.as_bytes()).await.unwrap();
    assert_eq!(answer(&mut begun).await.0, 200);
    tokio::time::timeout(SOON, served.serving).await.unwrap().unwrap();
    assert!(TcpStream::connect(served.address).await.is_err());
}
