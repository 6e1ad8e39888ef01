//! One connection: its bytes, in both directions, until the server has closed it.
//!
//! In: a client, a server, and what the client has sent so far. Out: how it ended. The server's end is the end: a
//! client that goes away leaves its query behind on the server, and the connection counts as long as that runs. Two
//! buffers are all the memory that it takes. Forbidden here: permits, and changing a byte.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::framing::Session;
use super::idle::Seat;
use super::refusal;

/// The bytes that are on their way in one direction at a time.
const BUFFER: usize = 8 << 10;
/// How long the last words to a client or a server may take.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long a client may take to close after it was told that it is over.
const FAREWELL: Duration = Duration::from_secs(5);

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The server has closed it.
    Closed,
    /// It was idle and one too many: both sides were told, and the server has closed it.
    Idle,
    /// Its socket is dead.
    Dead,
}

/// Copies until the server has closed or is dead. `early` is what the client has sent already.
pub async fn relay(client: &mut TcpStream, server: &mut TcpStream, early: &[u8], seat: &Seat) -> End {
    let mut relay = Relay::new(client, server, seat);
    relay.take_early(early);
    match poll_fn(|cx| relay.poll(cx)).await {
        Next::Ended(end) => end,
        Next::Close => close_idle(client, server).await,
    }
}

/// Ends an idle session from both sides, and returns when the server has closed.
async fn close_idle(client: &mut TcpStream, server: &mut TcpStream) -> End {
    tracing::debug!("closing an idle connection");
    let words = async {
        let _ = client.write_all(&refusal::idle()).await;
        let _ = client.shutdown().await;
    };
    let _ = timeout(LAST_WORDS, words).await;
    let words = async {
        let _ = server.write_all(&refusal::TERMINATE).await;
        let _ = server.shutdown().await;
    };
    let _ = timeout(LAST_WORDS, words).await;
    drain(server).await;
    End::Idle
}

/// Reads to nowhere until the end.
async fn drain(stream: &mut TcpStream) -> End {
    let mut nowhere = [0; 1 << 10];
    loop {
        match stream.read(&mut nowhere).await {
            Ok(0) => return End::Closed,
            Ok(_) => {}
            Err(_) => return End::Dead,
        }
    }
}

/// Lets a client read to its end what it was sent, for a while, and closes. Without this, bytes of its own that nobody
/// read would take the last words from it.
pub async fn farewell(mut client: TcpStream) {
    let _ = client.shutdown().await;
    let _ = timeout(FAREWELL, drain(&mut client)).await;
}

/// Closes a connection so that the other side sees it break, as if the server were at its other end.
pub fn reset(stream: TcpStream) {
    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    drop(stream);
}

/// What follows.
enum Next {
    Ended(End),
    /// It is idle, and was asked to close.
    Close,
}

struct Relay<'a> {
    client: &'a mut TcpStream,
    server: &'a mut TcpStream,
    seat: &'a Seat,
    session: Session,
    up: Buffer,
    down: Buffer,
    /// The client sends nothing more.
    has_ended: bool,
    /// The server was told so, or cannot be told anything.
    is_shut: bool,
    /// The client takes nothing more.
    is_deaf: bool,
}

impl<'a> Relay<'a> {
    fn new(client: &'a mut TcpStream, server: &'a mut TcpStream, seat: &'a Seat) -> Self {
        Self {
            client,
            server,
            seat,
            session: Session::default(),
            up: Buffer::new(),
            down: Buffer::new(),
            has_ended: false,
            is_shut: false,
            is_deaf: false,
        }
    }

    fn take_early(&mut self, early: &[u8]) {
        self.session.client(early);
        self.up.fill_with(early);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        self.poll_up(cx);
        if let Poll::Ready(end) = self.poll_down(cx) {
            return Poll::Ready(Next::Ended(end));
        }
        // The client may have turned out to be gone.
        if self.has_ended && !self.is_shut {
            self.poll_up(cx);
        }
        if self.seat.is_asked(cx.waker()) {
            let is_empty = self.up.is_empty() && self.down.is_empty();
            if self.session.is_idle() && is_empty && !self.has_ended && self.is_silent() {
                return Poll::Ready(Next::Close);
            }
            self.seat.busy();
        }
        Poll::Pending
    }

    /// From the client to the server. This direction never ends the connection.
    fn poll_up(&mut self, cx: &mut Context<'_>) {
        while !self.is_shut {
            if !self.up.is_empty() {
                match Pin::new(&mut *self.server).poll_write(cx, self.up.bytes()) {
                    Poll::Ready(Ok(count)) => self.up.take(count),
                    // What became of the connection is seen where the server is read.
                    Poll::Ready(Err(_)) => self.is_shut = true,
                    Poll::Pending => return,
                }
            } else if self.has_ended {
                if Pin::new(&mut *self.server).poll_shutdown(cx).is_pending() {
                    return;
                }
                self.is_shut = true;
            } else {
                match self.up.poll_fill(self.client, cx) {
                    Poll::Ready(Ok(0) | Err(_)) => {
                        self.seat.busy();
                        self.has_ended = true;
                    }
                    Poll::Ready(Ok(_)) => {
                        self.seat.busy();
                        self.session.client(self.up.bytes());
                    }
                    Poll::Pending => return,
                }
            }
        }
    }

    /// From the server to the client, or to nowhere.
    fn poll_down(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            while !self.down.is_empty() && !self.is_deaf {
                match ready!(Pin::new(&mut *self.client).poll_write(cx, self.down.bytes())) {
                    Ok(count) => self.down.take(count),
                    Err(_) => (self.is_deaf, self.has_ended) = (true, true),
                }
            }
            if self.session.is_idle() && !self.has_ended {
                self.seat.idle();
            }
            match ready!(self.down.poll_fill(self.server, cx)) {
                Ok(0) => return Poll::Ready(End::Closed),
                Ok(_) => self.session.server(self.down.bytes()),
                Err(_) => return Poll::Ready(End::Dead),
            }
        }
    }

    /// Whether nothing of the client lies in its socket.
    fn is_silent(&self) -> bool {
        let mut one = [MaybeUninit::uninit()];
        let peeked = SockRef::from(&*self.client).peek(&mut one);
        peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// Bytes on their way.
struct Buffer {
    all: Box<[u8; BUFFER]>,
    start: usize,
    end: usize,
}

impl Buffer {
    fn new() -> Self {
        Self { all: Box::new([0; BUFFER]), start: 0, end: 0 }
    }

    fn bytes(&self) -> &[u8] {
        self.all.get(self.start..self.end).unwrap_or_default()
    }

    fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    /// These have arrived.
    fn take(&mut self, count: usize) {
        self.start = self.start.saturating_add(count);
    }

    fn fill_with(&mut self, bytes: &[u8]) {
        if let Some(part) = self.all.get_mut(..bytes.len()) {
            part.copy_from_slice(bytes);
            (self.start, self.end) = (0, bytes.len());
        }
    }

    /// Fills it anew. What is in it is gone.
    fn poll_fill(&mut self, stream: &mut TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(self.all.as_mut_slice());
        ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
        (self.start, self.end) = (0, buffer.filled().len());
        Poll::Ready(Ok(self.end))
    }
}

#[cfg(test)]
mod tests;
