//! The lingering close (RFC 9112 §9.6).
//!
//! Closing a socket that holds unread bytes sends a reset, and so does whatever the client sends to a closed one. A
//! reset destroys data in flight: on a slow path the last response waits in the kernel for minutes. So the proxy sends
//! a FIN, and then reads and drops what the client still sends. The bounds below count from the time at which the
//! client's kernel has acknowledged every byte. Until then only the kernel's retransmission timeout ends the
//! connection.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf};
use tokio::time::{Instant, timeout, timeout_at};

use crate::transport::send_queue::SendQueue;
use crate::transport::wire::Wire;

/// The time without bytes after which a client that has acknowledged everything counts as having read it.
const SILENCE: Duration = Duration::from_secs(5);
/// The longest time for which such a client is waited for.
const ALTOGETHER: Duration = Duration::from_secs(30);
/// The most bytes that are still read from a client.
const MOST_BYTES: usize = 1024 * 1024;
/// How often the send queue is checked. There is no event for the acknowledgement of the last byte.
const RECHECK: Duration = Duration::from_millis(100);
/// The size of a read. It is small, so that ten thousand lingering connections take little memory.
const READ: usize = 512;

/// The time in which a client must accept a response of the proxy, once it has acknowledged everything before it.
const LAST_WRITE_TIME: Duration = Duration::from_secs(5);

/// Writes a response of the proxy. Returns the connection, which is to be closed by [`linger`]; `None` if the client
/// does not accept the response.
pub(crate) async fn write_last(mut client: Wire, answer: &[u8]) -> Option<Wire> {
    let queue = SendQueue::of(client.socket());
    let written = async {
        let mut written = pin!(client.write_all(answer));
        loop {
            match timeout(LAST_WRITE_TIME, &mut written).await {
                Err(_) if has_unacknowledged(queue) => {}
                Ok(written) => return written.is_ok(),
                Err(_) => return false,
            }
        }
    };
    written.await.then_some(client)
}

/// Closes the connection without destroying data that the client has not read. Returns the number of bytes that the
/// client still sent.
///
/// For clients that send nothing while they read, as in HTTP/1: after their kernel has acknowledged everything, they
/// cause no reset.
pub(crate) async fn linger(client: Wire) -> usize {
    Lingering::new(client, MOST_BYTES).run(SILENCE, ALTOGETHER).await
}

/// Closes the connection of a client that sends while it reads, as in HTTP/2, and has not shown that it has read
/// everything. Such a client may have paused, and a reset in response to its next frame would make some clients drop
/// unread data. So the proxy waits until the client closes, for at most `grace`. The price is that of an idle
/// connection.
pub(crate) async fn linger_until_read(client: Wire, grace: Duration) {
    Lingering::new(client, usize::MAX).run(grace, grace).await;
}

fn has_unacknowledged(queue: Option<SendQueue>) -> bool {
    queue.is_some_and(SendQueue::has_unacknowledged)
}

/// A connection in its lingering close.
///
/// ```text
/// Ending ──FIN sent──▶ listening ──client's FIN, or too many bytes──▶ waiting ──all acknowledged──▶ close
///                          └──silence, or the whole time, and all acknowledged────────────────────────▶┘
/// any ──the connection breaks──▶ close
/// ```
struct Lingering {
    client: Wire,
    queue: Option<SendQueue>,
    /// Whether the FIN was sent. Over TLS, buffered records are sent first.
    fin_sent: bool,
    client_ended: bool,
    dropped: usize,
    most: usize,
}

/// An event of the connection.
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
                if !has_unacknowledged(self.queue) {
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
