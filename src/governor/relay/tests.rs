//! Connections on loopback, whose other ends the test holds.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::super::idle::Seats;
use super::*;

const SOON: Duration = Duration::from_secs(10);
/// After this a session that can be known to be idle is.
const SILENCE: Duration = Duration::from_millis(1_600);

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("its address");
    let (one, other) = tokio::join!(TcpStream::connect(address), listener.accept());
    (one.expect("a connection"), other.expect("a connection").0)
}

/// The ends of a relayed connection that the app and the server hold.
struct Ends {
    client: TcpStream,
    server: TcpStream,
    seats: Arc<Seats>,
    relay: JoinHandle<End>,
}

async fn relayed(early: &'static [u8]) -> Ends {
    let ((client, mut inner), (mut outer, server)) = (pair().await, pair().await);
    let seats = Arc::new(Seats::default());
    let seat = seats.take();
    let relay = tokio::spawn(async move {
        let end = relay(&mut inner, &mut outer, early, &seat).await;
        drop((outer, seat));
        match end {
            End::Dead => reset(inner),
            End::Closed | End::Idle => farewell(inner).await,
        }
        end
    });
    Ends { client, server, seats, relay }
}

impl Ends {
    async fn client_hears(&mut self, bytes: &[u8]) {
        hears(&mut self.client, bytes).await;
    }

    async fn server_hears(&mut self, bytes: &[u8]) {
        hears(&mut self.server, bytes).await;
    }

    fn is_over(&self) -> bool {
        self.relay.is_finished()
    }

    async fn end(self) -> End {
        drop(self.client);
        timeout(SOON, self.relay).await.expect("in time").expect("no panic")
    }
}

/// Exactly these bytes come next.
async fn hears(stream: &mut TcpStream, bytes: &[u8]) {
    let mut heard = vec![0; bytes.len()];
    timeout(SOON, stream.read_exact(&mut heard)).await.expect("in time").expect("bytes");
    assert_eq!(heard, bytes);
}

/// Nothing more comes.
async fn hears_the_end(stream: &mut TcpStream) {
    let count = timeout(SOON, stream.read(&mut [0; 16])).await.expect("in time").expect("an end");
    assert_eq!(count, 0);
}

#[tokio::test]
async fn what_the_client_has_sent_before_goes_first_and_bytes_pass_in_both_directions() {
    let mut ends = relayed(b"early ").await;
    ends.client.write_all(b"hello").await.expect("a write");
    ends.server_hears(b"early hello").await;
    ends.server.write_all(b"answer").await.expect("a write");
    ends.client_hears(b"answer").await;
    drop(ends.server);
    hears_the_end(&mut ends.client).await;
    drop(ends.client);
    assert_eq!(ends.relay.await.expect("no panic"), End::Closed);
}

#[tokio::test]
async fn much_passes_in_both_directions_at_once_and_arrives_as_it_was() {
    const MUCH: usize = 20 << 20;
    let ends = relayed(b"").await;
    let bytes: Vec<u8> = (0..MUCH).map(|n| u8::try_from(n * 31 % 251).expect("a byte")).collect();
    let send = async |mut half: tokio::net::tcp::OwnedWriteHalf| {
        half.write_all(&bytes).await.expect("a write");
        half
    };
    let receive = async |mut half: tokio::net::tcp::OwnedReadHalf| {
        let mut heard = vec![0; MUCH];
        half.read_exact(&mut heard).await.expect("bytes");
        assert!(heard == bytes, "other bytes");
    };
    let ((from_client, to_client), (from_server, to_server)) =
        (ends.client.into_split(), ends.server.into_split());
    // Both stay open until all has arrived.
    let _halves = tokio::join!(send(to_client), send(to_server), receive(from_client), receive(from_server));
}

#[tokio::test]
async fn a_client_that_has_sent_all_still_hears_the_server() {
    let mut ends = relayed(b"").await;
    ends.client.shutdown().await.expect("a shutdown");
    hears_the_end(&mut ends.server).await;
    ends.server.write_all(b"late").await.expect("a write");
    ends.client_hears(b"late").await;
    assert!(!ends.is_over());
    drop(ends.server);
    hears_the_end(&mut ends.client).await;
}

#[tokio::test]
async fn a_client_that_breaks_off_is_told_to_the_server_and_counts_until_the_server_has_closed() {
    let mut ends = relayed(b"question").await;
    ends.server_hears(b"question").await;
    let ((client, _), mut server) = (pair().await, ends.server);
    reset(std::mem::replace(&mut ends.client, client));
    hears_the_end(&mut server).await;
    // The query goes on, and its answer, more than any buffer takes, is read to nowhere.
    let answer = vec![7; 20 << 20];
    timeout(SOON, server.write_all(&answer)).await.expect("in time").expect("a write");
    assert!(!ends.relay.is_finished());
    drop(server);
    assert_eq!(timeout(SOON, ends.relay).await.expect("in time").expect("no panic"), End::Closed);
}

#[tokio::test]
async fn a_server_that_breaks_off_is_seen_by_the_client_as_such() {
    let mut ends = relayed(b"question").await;
    ends.server_hears(b"question").await;
    reset(ends.server);
    let heard = timeout(SOON, ends.client.read(&mut [0; 16])).await.expect("in time");
    assert_eq!(heard.expect_err("a broken connection").kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(ends.relay.await.expect("no panic"), End::Dead);
}

#[tokio::test]
async fn the_last_words_of_a_server_reach_a_client_that_is_still_sending() {
    let mut ends = relayed(b"").await;
    ends.server.write_all(b"FATAL").await.expect("a write");
    ends.server.shutdown().await.expect("a shutdown");
    // These are read by nobody.
    let _ = ends.client.write_all(&[0; 1 << 10]).await;
    sleep(Duration::from_millis(50)).await;
    ends.client_hears(b"FATAL").await;
    hears_the_end(&mut ends.client).await;
}

#[tokio::test]
async fn a_client_that_does_not_close_is_closed_after_a_while() {
    tokio::time::pause();
    let ends = relayed(b"").await;
    let started = Instant::now();
    drop(ends.server);
    assert_eq!(
        timeout(Duration::from_secs(60), ends.relay).await.expect("in time").expect("no panic"),
        End::Closed
    );
    assert!(started.elapsed() >= FAREWELL);
    drop(ends.client);
}

/// A session without TLS that was let in and is idle.
async fn idle_session() -> Ends {
    let mut ends = relayed(b"\x00\x00\x00\x09\x00\x03\x00\x00\x00").await;
    ends.server_hears(b"\x00\x00\x00\x09\x00\x03\x00\x00\x00").await;
    ends.server.write_all(b"R\x00\x00\x00\x08\x00\x00\x00\x00Z\x00\x00\x00\x05I").await.expect("a write");
    ends.client_hears(b"R\x00\x00\x00\x08\x00\x00\x00\x00Z\x00\x00\x00\x05I").await;
    ends
}

/// Asks until one closes.
async fn ask_one(seats: &Seats) {
    let end = Instant::now() + SOON;
    while seats.close(1) == 0 {
        assert!(Instant::now() < end, "nobody is idle");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_idle_session_that_is_one_too_many_is_ended_on_both_sides() {
    let mut ends = idle_session().await;
    ask_one(&ends.seats).await;
    ends.client_hears(&refusal::idle()).await;
    hears_the_end(&mut ends.client).await;
    ends.server_hears(&refusal::TERMINATE).await;
    hears_the_end(&mut ends.server).await;
    // The server has not closed yet, so it still counts.
    assert!(!ends.is_over());
    assert_eq!(ends.seats.close(1), 1);
    ends.server.shutdown().await.expect("a shutdown");
    assert_eq!(ends.end().await, End::Idle);
}

#[tokio::test]
async fn a_session_at_work_is_left_alone() {
    let mut ends = idle_session().await;
    ends.client.write_all(b"Q\x00\x00\x00\x05\x00").await.expect("a write");
    ends.server_hears(b"Q\x00\x00\x00\x05\x00").await;
    sleep(SILENCE).await;
    assert_eq!(ends.seats.close(1), 0);
    ends.server.write_all(b"Z\x00\x00\x00\x05T").await.expect("a write");
    ends.client_hears(b"Z\x00\x00\x00\x05T").await;
    sleep(SILENCE).await;
    assert_eq!(ends.seats.close(1), 0, "it is in a transaction");
}

#[tokio::test]
async fn what_is_not_understood_is_never_idle() {
    let mut ends = relayed(b"\x16\x03\x01").await;
    ends.server_hears(b"\x16\x03\x01").await;
    ends.server.write_all(b"Z\x00\x00\x00\x05I").await.expect("a write");
    ends.client_hears(b"Z\x00\x00\x00\x05I").await;
    sleep(SILENCE).await;
    assert_eq!(ends.seats.close(1), 0);
}

#[tokio::test]
async fn a_question_that_comes_at_the_same_moment_is_passed_on_and_the_session_stays() {
    let mut all = Vec::new();
    for _ in 0..20 {
        all.push(idle_session().await);
    }
    sleep(SILENCE).await;
    for mut ends in all {
        // On one thread the relay has no turn between these two.
        ends.client.try_write(b"Q\x00\x00\x00\x05\x00").expect("a write");
        assert_eq!(ends.seats.close(1), 1);
        ends.server_hears(b"Q\x00\x00\x00\x05\x00").await;
        ends.server.write_all(b"Z\x00\x00\x00\x05T").await.expect("a write");
        ends.client_hears(b"Z\x00\x00\x00\x05T").await;
    }
}
