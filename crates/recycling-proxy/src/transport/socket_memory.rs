//! Bounds the memory of a connection's socket buffers.
//!
//! Without a bound the buffers of a socket grow to megabytes for a fast peer, and stay full once their reader pauses:
//! control groups of version 2 count that as the container's memory. Small buffers, on the other hand, cost CPU time:
//! each time one is emptied, the kernel continues the sender's work in our system call. So receive buffers are small
//! until a long body comes, and the connection reserves memory for a large one in advance, from the
//! [budget](crate::memory).
//!
//! | buffer | bytes |
//! |---|---|
//! | received, no long body yet | `tcp_rmem[1]`, 128 KiB by default |
//! | received, long bodies, the budget has room | 1.25 MiB, or twice `net.core.rmem_max` |
//! | unsent for a client | 64 KiB; bytes in flight are not bounded, so that a long path costs no speed |
//! | unsent for an app | 128 KiB; with a large receive buffer for what its client sends, 512 KiB |

use std::io;
use std::os::fd::AsFd;

use socket2::SockRef;
use tokio::net::TcpStream;

use crate::memory::Account;
use crate::relay::side::Side;

/// The most unsent bytes towards a client (`TCP_NOTSENT_LOWAT`).
const MOST_UNSENT_TO_CLIENT: u32 = 64 * 1024;
/// The most unsent bytes towards an app (`TCP_NOTSENT_LOWAT`). On loopback bytes are sent only while the app reads.
const UNSENT_TO_APP: u32 = 128 * 1024;
/// The most unsent bytes of a long body. With 128 KiB, a body of 1 MiB costs a tenth more CPU time.
const MOST_UNSENT_TO_APP: u32 = 512 * 1024;
/// The initial receive buffer (the default of `tcp_rmem[1]`). Every connection reserves memory for it.
const SMALL: usize = 128 * 1024;
/// A large receive buffer. A body of 1 MiB fits, so that its sender does not wait for the proxy; longer bodies gain
/// little from more.
const LARGE: usize = 1280 * 1024;
/// A body with at least this many bytes left is long. A small buffer holds half of that.
const LONG: u64 = 128 * 1024;
/// The least size of a read that counts. The buffer fills up only if reads are large, and only then does the kernel
/// enlarge it.
const LARGE_READ: usize = 16 * 1024;
/// The number of bytes in large reads after which a buffer without a long body is fixed: the kernel does not enlarge it
/// before. A single read of this size also shows a long body whose length is unknown.
const STEP: usize = 64 * 1024;

/// Bounds the buffers of a listening socket. Accepted connections inherit the options.
pub(crate) fn bound_of_clients(listener: &impl AsFd) -> io::Result<()> {
    SockRef::from(listener).set_tcp_notsent_lowat(MOST_UNSENT_TO_CLIENT)
}

/// Bounds the buffers of a connection to the app.
pub(crate) fn bound_of_app(stream: &impl AsFd) -> io::Result<()> {
    SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_TO_APP)
}

/// One direction of a connection, and the account that its socket buffers are charged to.
#[derive(Clone, Copy)]
pub(crate) struct Direction<'a> {
    pub(crate) source: &'a TcpStream,
    pub(crate) sink: &'a TcpStream,
    /// The side that sends.
    pub(crate) from: Side,
    pub(crate) account: &'a Account,
}

impl Direction<'_> {
    /// Reserves memory for large buffers of both sockets. Returns whether the budget has room for them.
    fn is_reserved(&self) -> bool {
        let unsent = match self.from {
            Side::Client => MOST_UNSENT_TO_APP.saturating_sub(UNSENT_TO_APP),
            Side::App => 0,
        };
        let reserved = self.account.reserve_for_kernel((LARGE - SMALL).saturating_add(unsent as usize));
        if reserved && unsent > 0 {
            // If the option cannot be set, the connection no longer exists.
            let _ = SockRef::from(self.sink).set_tcp_notsent_lowat(MOST_UNSENT_TO_APP);
        }
        reserved
    }
}

/// The receive buffer of a source's socket.
///
/// ```text
///         long body, memory reserved               as large as it may be
///  New ───────────────────────────────▶ Growing ──────────────────────────▶ Fixed { large: true }
///   │                                                                          ▲
///   └─ enough was read, or no memory ─▶ Fixed { large: false } ────────────────┘
///                                                    long body, memory reserved
/// ```
///
/// The kernel enlarges a buffer whose size was never set (`SO_RCVBUF`), if it is read as fast as the source sends. A
/// buffer is never made smaller: the peer may send as much as its window allows, and the kernel would drop what does
/// not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReceiveBuffer {
    /// It has its initial size.
    New {
        /// Bytes that came in large reads, fewer than [`STEP`].
        read: u16,
    },
    /// Memory for a large buffer is reserved, and the kernel enlarges it on its own.
    Growing,
    /// Its size was set.
    Fixed {
        /// Whether it is a large buffer.
        large: bool,
    },
}

impl Default for ReceiveBuffer {
    fn default() -> Self {
        Self::New { read: 0 }
    }
}

impl ReceiveBuffer {
    /// Records that `bytes` will arrive before the framing must be examined again.
    pub(crate) fn expect(&mut self, bytes: u64, direction: &Direction<'_>) {
        if bytes >= LONG {
            self.try_large(direction);
        }
    }

    /// Records a read of `count` bytes.
    pub(crate) fn has_read(&mut self, count: usize, direction: &Direction<'_>) {
        if count < LARGE_READ {
            return;
        }
        if count >= STEP {
            self.try_large(direction);
        }
        let source = direction.source;
        match self {
            Self::New { read } => {
                *self = match u16::try_from(usize::from(*read).saturating_add(count)) {
                    Ok(read) if usize::from(read) < STEP => Self::New { read },
                    Ok(_) | Err(_) => Self::fixed(SMALL, source),
                };
            }
            Self::Growing if size(source) >= LARGE => *self = Self::fixed(LARGE, source),
            Self::Growing | Self::Fixed { .. } => {}
        }
    }

    fn try_large(&mut self, direction: &Direction<'_>) {
        *self = match *self {
            Self::Growing | Self::Fixed { large: true } => return,
            Self::New { .. } if direction.is_reserved() => Self::Growing,
            Self::New { .. } => Self::fixed(SMALL, direction.source),
            Self::Fixed { large: false } if direction.is_reserved() => Self::fixed(LARGE, direction.source),
            Self::Fixed { large: false } => return,
        };
    }

    /// Sets the size of the buffer. The kernel bounds it by the node's `net.core.rmem_max`.
    fn fixed(size: usize, source: &TcpStream) -> Self {
        // If the option cannot be set, the connection no longer exists.
        let _ = SockRef::from(source).set_recv_buffer_size(size / 2);
        Self::Fixed { large: size == LARGE }
    }
}

/// Returns the size of a receive buffer as the kernel counts it: twice the size that was set.
fn size(socket: &TcpStream) -> usize {
    SockRef::from(socket).recv_buffer_size().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use prometheus_client::registry::Registry;
    use tokio::net::TcpListener;

    use super::*;
    use crate::memory::{Memory, Slot};

    const ROOM: usize = 64 << 20;
    /// Three eighths of it are less than a large buffer.
    const NO_ROOM: usize = 2 << 20;

    struct Connection {
        _far: TcpStream,
        near: TcpStream,
        sink: TcpStream,
        from: Side,
        buffer: ReceiveBuffer,
        slot: Option<Slot>,
        memory: Arc<Memory>,
        used_before: usize,
    }

    impl Connection {
        async fn within(pool: usize) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let (far, near) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
            let memory = Memory::with(0, pool, 10, &mut Registry::default());
            let slot = memory.try_admit();
            let used_before = memory.used();
            let near = near.unwrap().0;
            let sink = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            bound_of_app(&sink).unwrap();
            Self {
                _far: far.unwrap(),
                near,
                sink,
                from: Side::App,
                buffer: ReceiveBuffer::default(),
                slot,
                memory,
                used_before,
            }
        }

        fn direction<'a>(&'a self, account: &'a Account) -> Direction<'a> {
            Direction { source: &self.near, sink: &self.sink, from: self.from, account }
        }

        fn expects(&mut self, bytes: u64) -> ReceiveBuffer {
            let (mut buffer, account) = (self.buffer, self.slot.as_ref().unwrap().account());
            buffer.expect(bytes, &self.direction(account));
            self.buffer = buffer;
            buffer
        }

        fn reads(&mut self, count: usize) -> ReceiveBuffer {
            let (mut buffer, account) = (self.buffer, self.slot.as_ref().unwrap().account());
            buffer.has_read(count, &self.direction(account));
            self.buffer = buffer;
            buffer
        }

        fn reserved(&self) -> usize {
            self.memory.used() - self.used_before
        }

        /// Enlarges the buffer as the kernel would.
        fn enlarge(&self, size: usize) {
            SockRef::from(&self.near).set_recv_buffer_size(size / 2).unwrap();
        }
    }

    #[tokio::test]
    async fn short_bodies_have_a_small_receive_buffer() {
        let mut connection = Connection::within(ROOM).await;
        for _ in 0..1000 {
            assert_eq!(connection.expects(LONG - 1), ReceiveBuffer::New { read: 0 });
            assert_eq!(connection.reads(LARGE_READ - 1), ReceiveBuffer::New { read: 0 });
        }
        assert_eq!(connection.reads(LARGE_READ), ReceiveBuffer::New { read: u16::try_from(LARGE_READ).unwrap() });
        assert_eq!(connection.reads(STEP - LARGE_READ), ReceiveBuffer::Fixed { large: false });
        assert_eq!((size(&connection.near), connection.reserved()), (SMALL, 0));
    }

    #[tokio::test]
    async fn a_long_body_reserves_a_large_receive_buffer_until_the_connection_ends() {
        let mut connection = Connection::within(ROOM).await;
        assert_eq!(connection.expects(LONG), ReceiveBuffer::Growing);
        assert_eq!(connection.reserved(), LARGE - SMALL);
        connection.enlarge(2 * SMALL);
        assert_eq!(connection.reads(STEP), ReceiveBuffer::Growing);
        connection.enlarge(2 * LARGE);
        // Where the node allows none as large, that is the bound.
        let given = size(&connection.near);
        assert_eq!(connection.reads(STEP) == ReceiveBuffer::Fixed { large: true }, given >= LARGE);
        assert_eq!(size(&connection.near), given.min(LARGE));
        connection.expects(u64::MAX);
        assert_eq!(connection.reserved(), LARGE - SMALL, "reserved once");
        drop(connection.slot.take());
        assert_eq!(connection.memory.used(), 0);
    }

    #[tokio::test]
    async fn without_memory_the_receive_buffer_stays_small() {
        let mut connection = Connection::within(NO_ROOM).await;
        assert_eq!(connection.expects(LONG), ReceiveBuffer::Fixed { large: false });
        for _ in 0..100 {
            assert_eq!(connection.reads(STEP), ReceiveBuffer::Fixed { large: false });
        }
        assert_eq!((size(&connection.near), connection.reserved()), (SMALL, 0));
    }

    #[tokio::test]
    async fn a_small_receive_buffer_grows_once_there_is_memory() {
        let mut connection = Connection::within(ROOM).await;
        connection.buffer = ReceiveBuffer::Fixed { large: false };
        assert_eq!(connection.reads(STEP - 1), ReceiveBuffer::Fixed { large: false });
        assert_eq!(connection.reads(STEP), ReceiveBuffer::Fixed { large: true });
        assert!(size(&connection.near) > SMALL);
        assert_eq!(connection.reserved(), LARGE - SMALL);
    }

    #[tokio::test]
    async fn a_reserved_long_body_may_queue_more_for_the_app() {
        for (pool, unsent, reserved) in [
            (ROOM, MOST_UNSENT_TO_APP, LARGE - SMALL + (MOST_UNSENT_TO_APP - UNSENT_TO_APP) as usize),
            (NO_ROOM, UNSENT_TO_APP, 0),
        ] {
            let mut connection = Connection::within(pool).await;
            connection.from = Side::Client;
            connection.expects(LONG);
            assert_eq!(SockRef::from(&connection.sink).tcp_notsent_lowat().unwrap(), unsent);
            assert_eq!(connection.reserved(), reserved);
        }
    }
}
