//! Ways to take memory of a proxy.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// In this time a proxy that reads has read; one that does not is not waited for.
const PUSH: Duration = Duration::from_millis(20);

/// What a connection does with its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attack {
    Silence,
    UnfinishedHead,
    HalfClientHello,
    PausedReader,
    Http2Unread,
    OpenStreams,
    Trailers,
    StalledUpload,
    AdminHead,
}

impl Attack {
    /// Connects and sends what there is to send; `None` where the proxy does not let it in.
    pub(super) async fn begin(self, to: SocketAddr) -> Option<TcpStream> {
        let socket = TcpSocket::new_v4().ok()?;
        // Whoever does not read should not be read to either.
        socket.set_recv_buffer_size(4096).ok()?;
        let mut stream = timeout(PUSH * 10, socket.connect(to)).await.ok()?.ok()?;
        // Sent, or as much of it as is taken.
        let _ = timeout(PUSH, stream.write_all(&self.bytes())).await;
        Some(stream)
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
