//! The lingering close (RFC 9112 §9.6).
//!
//! Closing a socket that holds unread bytes sends a reset, and so does whatever the client sends to a closed one. A reset
//! destroys what is still on its way: a last response on a slow path waits in our kernel for minutes. So: FIN first, then read
//! and drop what still comes. The bounds here count from when the client's kernel has acknowledged every byte; until then the
//! kernel alone decides whether the client is still there.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf};
use tokio::time::{Instant, timeout, timeout_at};

use crate::transport::send_queue::SendQueue;
use crate::transport::wire::Wire;

/// Silence after which a client that has acknowledged everything is taken to have read it.
const SILENCE: Duration = Duration::from_secs(5);
/// The whole time that such a client can take.
const ALTOGETHER: Duration = Duration::from_secs(30);
/// What a client can still send before nothing more is taken in.
const MOST_BYTES: usize = 1024 * 1024;
/// No event tells that a client which is no longer listened to has acknowledged everything. So the kernel is asked this often.
const RECHECK: Duration = Duration::from_millis(100);
/// So much is read at once: little, so that ten thousand lingering connections cost little.
const READ: usize = 512;

/// The time in which a client must take an answer of ours, once it has acknowledged all that went before.
const LAST_WRITE_TIME: Duration = Duration::from_secs(5);

/// Writes an answer of ours; returns the client, which is to be lingered for, unless it does not take it.
pub(crate) async fn write_last(mut client: Wire, answer: &[u8]) -> Option<Wire> {
    let queue = SendQueue::of(client.socket());
    let written = async {
        let mut written = pin!(client.write_all(answer));
        loop {
            match timeout(LAST_WRITE_TIME, &mut written).await {
                Err(_) if is_owed(queue) => {}
                Ok(written) => return written.is_ok(),
                Err(_) => return false,
            }
        }
    };
    written.await.then_some(client)
}

/// Ends the connection without destroying what the client has yet to read; returns the number of bytes that it still sent.
///
/// For clients that say nothing while they read, as in HTTP/1: once their kernel has everything, no reset destroys it.
pub(crate) async fn linger(client: Wire) -> usize {
    Lingering::new(client, MOST_BYTES).run(SILENCE, ALTOGETHER).await
}

/// The same for a client that says something while it reads, as in HTTP/2, and has not shown that it has read everything: it may
/// have paused, and a reset that answers its next frame makes some clients drop what their kernel holds for them. So it is
/// waited for until it ends, for at most `grace`. That costs what an idle connection does.
pub(crate) async fn linger_until_read(client: Wire, grace: Duration) {
    Lingering::new(client, usize::MAX).run(grace, grace).await;
}

fn is_owed(queue: Option<SendQueue>) -> bool {
    queue.is_some_and(SendQueue::is_owed)
}

/// A connection that is being ended.
///
/// ```text
/// Ending ──FIN sent──▶ listening ──client's FIN, or too many bytes──▶ waiting ──all acknowledged──▶ close
///                          └──silence, or the whole time, and all acknowledged────────────────────────▶┘
/// any ──the connection breaks──▶ close
/// ```
struct Lingering {
    client: Wire,
    queue: Option<SendQueue>,
    /// Over TLS, what it has yet to send goes first.
    fin_sent: bool,
    client_ended: bool,
    dropped: usize,
    most: usize,
}

/// What has happened to it.
enum Event {
    FinSent,
    Heard,
    Broken,
}

impl Lingering {
    fn new(client: Wire, most: usize) -> Self {
        let queue = SendQueue::of(client.socket());
        Self { client, queue, fin_sent: false, client_ended: false, dropped: 0, most }
    }

    async fn run(mut self, silence: Duration, altogether: Duration) -> usize {
        let mut deadline = Instant::now() + altogether;
        loop {
            let until = Instant::now() + if self.listens() { silence } else { RECHECK };
            let may_close = match timeout_at(until.min(deadline), poll_fn(|cx| self.poll(cx))).await {
                Ok(Event::Broken) => return self.dropped,
                Ok(Event::FinSent | Event::Heard) => self.fin_sent && !self.listens(),
                Err(_) => true,
            };
            if may_close {
                if !is_owed(self.queue) {
                    return self.dropped;
                }
                deadline = Instant::now() + altogether;
            }
        }
    }

    const fn listens(&self) -> bool {
        !self.client_ended && self.dropped < self.most
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if !self.fin_sent
            && let Poll::Ready(sent) = Pin::new(&mut self.client).poll_shutdown(cx)
        {
            self.fin_sent = true;
            return Poll::Ready(if sent.is_ok() { Event::FinSent } else { Event::Broken });
        }
        if !self.listens() {
            return Poll::Pending;
        }
        let mut sink = [0; READ];
        let mut room = ReadBuf::new(&mut sink);
        let read = ready!(Pin::new(&mut self.client).poll_read(cx, &mut room));
        let count = room.filled().len();
        self.client_ended = count == 0;
        self.dropped = self.dropped.saturating_add(count);
        Poll::Ready(if read.is_ok() { Event::Heard } else { Event::Broken })
    }
}

#[cfg(test)]
mod tests;
