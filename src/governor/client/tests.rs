//! Clients of a desk whose database is played by the test.

use std::net::SocketAddr;

use testkit::dns::Dns;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::super::upstream::resolver;
use super::*;

const SOON: Duration = Duration::from_secs(10);
const STARTUP: &[u8] = b"\x00\x00\x00\x09\x00\x03\x00\x00\x00";
const TLS: &[u8] = b"\x00\x00\x00\x08\x04\xd2\x16\x2f";
const CANCEL: &[u8] = b"\x00\x00\x00\x10\x04\xd2\x16\x2e\x00\x00\x00\x01\x00\x00\x00\x02";

struct Stage {
    desk: Arc<Desk>,
    state: Arc<State>,
    /// Where the desk takes clients.
    door: TcpListener,
    database: Option<TcpListener>,
    _dns: Dns,
}

impl Stage {
    async fn open(allowed: u32, queue_timeout: Duration) -> Self {
        let dns = Dns::start().await.expect("DNS");
        let database = TcpListener::bind("127.0.0.9:0").await.expect("a listener");
        let port = database.local_addr().expect("its address").port();
        dns.set("db.test", &["127.0.0.9".parse().expect("an address")]);
        let name = format!("db.test:{port}").parse().expect("a database");
        let upstream = Upstream::new(name, resolver(Some(dns.address())).expect("a resolver"), Vec::new());
        let state = State::new("uid".to_owned(), false);
        state.cap.set_allowed(allowed);
        let desk = Desk::new(Arc::clone(&state), Arc::new(upstream), queue_timeout, Desk::cancels());
        let door = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        Self { desk: Arc::new(desk), state, door, database: Some(database), _dns: dns }
    }

    /// A client that has sent this.
    async fn client(&self, bytes: &[u8]) -> (TcpStream, JoinHandle<()>) {
        let address: SocketAddr = self.door.local_addr().expect("its address");
        let (client, accepted) = tokio::join!(TcpStream::connect(address), self.door.accept());
        let (mut client, (accepted, _)) = (client.expect("a connection"), accepted.expect("a connection"));
        let desk = Arc::clone(&self.desk);
        let task = tokio::spawn(async move { desk.serve(accepted).await });
        client.write_all(bytes).await.expect("a write");
        (client, task)
    }

    /// The next connection of the desk to the database, and what it begins with.
    async fn server(&self, bytes: &[u8]) -> TcpStream {
        let accepted = self.database.as_ref().expect("a database").accept();
        let (mut server, _) = timeout(SOON, accepted).await.expect("in time").expect("a connection");
        let mut heard = vec![0; bytes.len()];
        timeout(SOON, server.read_exact(&mut heard)).await.expect("in time").expect("bytes");
        assert_eq!(heard, bytes);
        server
    }

    async fn until(&self, what: impl Fn(&super::super::state::Look) -> bool) {
        let end = Instant::now() + SOON;
        while !what(&self.state.look()) {
            assert!(Instant::now() < end, "{:?}", self.state.look());
            sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn to_the_end(client: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut heard = Vec::new();
    timeout(SOON, client.read_to_end(&mut heard)).await.expect("in time").map(|_| heard)
}

#[tokio::test]
async fn no_more_are_open_than_allowed_and_the_next_goes_when_the_server_has_closed() {
    let stage = Stage::open(1, SOON).await;
    let (first, _) = stage.client(STARTUP).await;
    let server = stage.server(STARTUP).await;
    let (_second, _) = stage.client(STARTUP).await;
    stage.until(|look| look.waiting == 1).await;
    drop(first);
    // The server still has its query.
    sleep(Duration::from_millis(100)).await;
    assert_eq!((stage.state.look().open, stage.state.look().waiting), (1, 1));
    drop(server);
    let _server = stage.server(STARTUP).await;
    let look = stage.state.look();
    assert_eq!((look.open, look.waiting, look.opened, look.peak, look.refused), (1, 0, 2, 1, 0));
}

#[tokio::test]
async fn a_client_of_postgres_that_waited_too_long_is_told_why_and_others_are_closed() {
    let stage = Stage::open(0, Duration::from_millis(300)).await;
    for begins in [STARTUP, TLS] {
        let (mut client, _) = stage.client(begins).await;
        let told = to_the_end(&mut client).await.expect("an end");
        assert!(told.starts_with(b"E") && told.windows(6).any(|part| part == b"C53300"), "{told:?}");
        assert!(String::from_utf8_lossy(&told).contains("this pod may hold no connections now; waited "));
    }
    for begins in [&b""[..], b"\x16\x03\x01"] {
        let (mut client, _) = stage.client(begins).await;
        assert!(to_the_end(&mut client).await.unwrap_or_default().is_empty());
    }
    assert_eq!((stage.state.look().refused, stage.state.look().waiting), (4, 0));
}

#[tokio::test]
async fn a_client_that_leaves_while_it_waits_is_out_of_the_queue() {
    let stage = Stage::open(0, SOON).await;
    let (client, task) = stage.client(STARTUP).await;
    stage.until(|look| look.waiting == 1).await;
    drop(client);
    timeout(SOON, task).await.expect("in time").expect("no panic");
    assert_eq!((stage.state.look().waiting, stage.state.look().refused), (0, 0));
}

#[tokio::test]
async fn a_client_that_waits_for_the_server_to_speak_gets_its_connection() {
    let stage = Stage::open(1, SOON).await;
    let (mut client, _) = stage.client(b"").await;
    let mut server = stage.server(b"").await;
    server.write_all(b"greeting").await.expect("a write");
    let mut heard = [0; 8];
    timeout(SOON, client.read_exact(&mut heard)).await.expect("in time").expect("bytes");
    assert_eq!(&heard, b"greeting");
}

#[tokio::test]
async fn a_cancel_request_passes_although_all_are_in_use() {
    let stage = Stage::open(1, SOON).await;
    let (_client, _) = stage.client(STARTUP).await;
    let _server = stage.server(STARTUP).await;
    // What follows the request does not pass with it.
    let (mut canceller, _) = stage.client(&[CANCEL, b"more"].concat()).await;
    let mut server = stage.server(CANCEL).await;
    assert_eq!(stage.state.look().open, 1);
    assert!(timeout(Duration::from_millis(100), server.read(&mut [0; 1])).await.is_err());
    drop(server);
    // Bytes that nobody read may break it.
    assert!(to_the_end(&mut canceller).await.unwrap_or_default().is_empty());
    assert_eq!(stage.state.counts.cancels.get(), 1);
}

#[tokio::test]
async fn a_cancel_request_that_comes_in_pieces_leaves_the_queue() {
    let stage = Stage::open(0, SOON).await;
    let (mut canceller, _) = stage.client(&CANCEL[..6]).await;
    stage.until(|look| look.waiting == 1).await;
    canceller.write_all(&CANCEL[6..]).await.expect("a write");
    let _server = stage.server(CANCEL).await;
    assert_eq!(stage.state.look().waiting, 0);
}

#[tokio::test]
async fn a_database_that_is_away_breaks_the_connection_and_the_permit_comes_back() {
    let mut stage = Stage::open(1, SOON).await;
    stage.database = None;
    for _ in 0..2 {
        let (mut client, _) = stage.client(STARTUP).await;
        let error = to_the_end(&mut client).await.expect_err("a broken connection");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        stage.until(|look| look.open == 0).await;
    }
    assert_eq!(stage.state.counts.unreachable.get(), 2);
}

#[tokio::test]
async fn the_governor_knows_its_own_sockets_while_they_are_open() {
    let stage = Stage::open(1, SOON).await;
    let (client, task) = stage.client(STARTUP).await;
    let server = stage.server(STARTUP).await;
    let ends = (server.peer_addr().expect("an end"), server.local_addr().expect("an end"));
    assert!(stage.state.own.has(ends));
    drop((client, server));
    timeout(SOON, task).await.expect("in time").expect("no panic");
    assert!(!stage.state.own.has(ends));
}
