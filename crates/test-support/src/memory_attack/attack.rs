//! Ways to use memory of a proxy.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long a hostile client tries to send. A proxy that reads has read everything by then.
const SEND_TIMEOUT: Duration = Duration::from_millis(20);
/// Connections that are opened at a time.
const AT_ONCE: usize = 50;
/// What the kernel may hold for a client that is not read, bytes: thousands of them must not use up its memory for sockets.
const SEND_BUFFER: u32 = 64 << 10;

/// How a connection uses memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryAttack {
    /// Sends nothing.
    Silence,
    /// Sends a request head of 130 kB without its end.
    UnfinishedHead,
    /// Sends a part of a TLS `ClientHello`.
    HalfClientHello,
    /// Requests a long response and does not read it.
    PausedReader,
    /// Sends content of HTTP/2, which the app does not read, and reads nothing itself.
    Http2Unread,
    /// Opens 2,000 streams of HTTP/2.
    OpenStreams,
    /// Sends a chunked body with trailers of 60 kB without their end.
    Trailers,
    /// Sends a body that the app does not read.
    StalledUpload,
    /// Sends a request head of 400 kB without its end to the admin port.
    AdminHead,
}

impl MemoryAttack {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Silence,
        Self::UnfinishedHead,
        Self::HalfClientHello,
        Self::PausedReader,
        Self::Http2Unread,
        Self::OpenStreams,
        Self::Trailers,
        Self::StalledUpload,
        Self::AdminHead,
    ];

    /// Opens this number of connections, and sends on each what the attack consists of. Connections that the proxy does
    /// not accept are left out.
    pub async fn open(self, connections: usize, to: SocketAddr) -> Vec<TcpStream> {
        let bytes = Arc::<[u8]>::from(self.bytes());
        let (mut held, mut begun) = (Vec::new(), 0);
        while begun < connections {
            let now = AT_ONCE.min(connections - begun);
            let opening: JoinSet<_> = (0..now).map(|_| begin(to, Arc::clone(&bytes))).collect();
            held.extend(opening.join_all().await.into_iter().flatten());
            begun += now;
        }
        held
    }

    fn bytes(self) -> Vec<u8> {
        let long = |front: &str, length: usize| [front.as_bytes(), &vec![b'a'; length]].concat();
        match self {
            Self::Silence => Vec::new(),
            Self::UnfinishedHead => long("GET / HTTP/1.1\r\nHost: a\r\nX: ", 130_000),
            Self::AdminHead => long("GET /readyz HTTP/1.1\r\nHost: a\r\nX: ", 400_000),
            // A record of 16 KiB that begins a message of 64.
            Self::HalfClientHello => long("\x16\x03\x01\x40\0\x01\0\u{7f}\u{7f}", 16_000),
            Self::PausedReader => b"GET /much HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            Self::Trailers => long("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ", 60_000),
            Self::StalledUpload => long("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", 1 << 20),
            Self::OpenStreams => http2((0..2_000).flat_map(|number| headers(2 * number + 1))),
            Self::Http2Unread => http2(headers(1).into_iter().chain((0..40).flat_map(|_| data(1)))),
        }
    }
}

async fn begin(to: SocketAddr, bytes: Arc<[u8]>) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().ok()?;
    // What these clients do not read must wait in the proxy, not in their own buffers.
    socket.set_recv_buffer_size(4096).ok()?;
    socket.set_send_buffer_size(SEND_BUFFER).ok()?;
    let mut stream = timeout(SEND_TIMEOUT * 10, socket.connect(to)).await.ok()?.ok()?;
    // The proxy may accept a part only.
    let _ = timeout(SEND_TIMEOUT, stream.write_all(&bytes)).await;
    Some(stream)
}

impl fmt::Display for MemoryAttack {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Silence => "silent connections",
            Self::UnfinishedHead => "unfinished heads of 130 kB",
            Self::HalfClientHello => "unfinished TLS ClientHellos",
            Self::PausedReader => "clients that do not read",
            Self::Http2Unread => "HTTP/2 where neither side reads",
            Self::OpenStreams => "2,000 HTTP/2 streams each",
            Self::Trailers => "unfinished trailers of 60 kB",
            Self::StalledUpload => "uploads that the app does not read",
            Self::AdminHead => "unfinished heads at the admin port",
        })
    }
}

fn http2(frames: impl Iterator<Item = u8>) -> Vec<u8> {
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".iter().copied().chain(frames).collect()
}

/// Returns a request's only field, which is indexed, and the end of the block.
fn headers(stream: u32) -> Vec<u8> {
    [&[0, 0, 1, 1, 4][..], &stream.to_be_bytes(), &[0x82]].concat()
}

fn data(stream: u32) -> Vec<u8> {
    [&[0, 0x40, 0, 0, 0][..], &stream.to_be_bytes(), &[b'd'; 0x4000]].concat()
}
