//! The task of a connection.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::eviction::Evictable as _;
use super::{http1, http2, tunnel};

/// The state of a connection.
///
/// ```text
/// Beginning ─┬─▶ Http1 ──▶ Tunnel ──▶ Closing ──▶ Ended
///            │     └───────────────────▲           ▲
///            ├─▶ Http2 ────────────────┤           │
///            ├─▶ Tunnel ───────────────┘           │
///            └── nothing to serve ─────────────────┘
/// ```
///
/// Most connections are idle ones of HTTP/1, and there can be ten thousand of them. So only their state is here. The
/// beginning and the end of a connection, and the other protocols, are in boxes, and so take memory only while they are
/// in use. An `async` block would have room for all of them.
#[expect(clippy::large_enum_variant, reason = "nearly every connection is of the large variant")]
pub(super) enum Stage {
    Beginning(Pin<Box<dyn Future<Output = Self> + Send>>),
    Http1(http1::Connection),
    Http2(Box<http2::Connection>),
    Tunnel(Box<tunnel::Connection>),
    Closing(Pin<Box<dyn Future<Output = ()> + Send>>),
    Ended,
}

impl Stage {
    /// Ready once the connection has ended.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let next = match self {
                Self::Beginning(beginning) => ready!(beginning.as_mut().poll(cx)),
                Self::Http1(connection) => {
                    let ending = ready!(connection.poll(cx));
                    match std::mem::replace(self, Self::Ended) {
                        Self::Http1(connection) => match connection.finish(ending) {
                            http1::Sequel::Tunnel(tunnel) => Self::Tunnel(tunnel),
                            http1::Sequel::Close(closing) => Self::Closing(closing),
                        },
                        other => other,
                    }
                }
                Self::Http2(connection) => {
                    let ending = ready!(connection.poll(cx));
                    match std::mem::replace(self, Self::Ended) {
                        Self::Http2(connection) => Self::Closing(Box::pin(connection.finish(ending))),
                        other => other,
                    }
                }
                Self::Tunnel(connection) => {
                    let ending = ready!(connection.poll(cx));
                    match std::mem::replace(self, Self::Ended) {
                        Self::Tunnel(connection) => Self::Closing(Box::pin(connection.finish(ending))),
                        other => other,
                    }
                }
                Self::Closing(closing) => {
                    ready!(closing.as_mut().poll(cx));
                    Self::Ended
                }
                Self::Ended => return Poll::Ready(()),
            };
            *self = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::conversation::Conversation;
    use crate::memory::Account;

    /// The runtime adds 104 bytes to the task of a connection, and rounds up to a multiple of 128.
    #[test]
    fn the_task_of_a_connection_fits_into_three_allocation_units() {
        assert!(size_of::<Stage>() <= 3 * 128 - 104, "{}", size_of::<Stage>());
    }

    /// The runtime makes three allocations for each connection that are aligned to 128 bytes. Before each, glibc's
    /// allocator leaves a gap of 104 bytes. It serves only requests for 89 to 104 bytes from there.
    #[test]
    fn allocations_of_a_connection_fit_into_the_gaps_between_tasks() {
        let counts_of_an_arc = 2 * size_of::<usize>();
        for size in [size_of::<Conversation>(), counts_of_an_arc + size_of::<Account>()] {
            assert!((89..=104).contains(&size), "{size}");
        }
    }
}
