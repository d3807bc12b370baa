//! One end of a TCP connection, played by a test.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use crate::end::End;
use crate::head::Head;
use crate::unexpected::{Excerpt, TIMEOUT, Unexpected, within_timeout};

/// Pause between two pieces of a message, so that the other end reads them one by one. If a busy machine joins two of
/// them, that run tests one split less; it does not fail.
const PACE: Duration = Duration::from_millis(2);

/// The receive buffer of a client with a small one, in bytes.
const SMALL_BUFFER: u32 = 16 * 1024;

/// One end of a connection: a client, or an app's end of one.
#[derive(Debug)]
pub struct Peer {
    reader: PeerReader,
    writer: PeerWriter,
}

/// The direction in which a peer reads.
#[derive(Debug)]
pub struct PeerReader {
    who: &'static str,
    half: OwnedReadHalf,
    /// Bytes that were read from the socket and not yet from here.
    waiting: Vec<u8>,
    end: Option<End>,
}

/// The direction in which a peer writes.
#[derive(Debug)]
pub struct PeerWriter {
    who: &'static str,
    half: OwnedWriteHalf,
}

impl Peer {
    /// Connects as a client.
    pub async fn connect(to: SocketAddr) -> Result<Self, Unexpected> {
        let connected = within_timeout("client", "a connection", TcpStream::connect(to)).await?;
        let io = |source| Unexpected::Io { who: "client".to_owned(), what: "connect", source };
        Self::new("client", connected.map_err(io)?)
    }

    /// Connects as a client with a small receive buffer: what the client does not read waits in the server's kernel.
    pub async fn connect_with_small_buffer(to: SocketAddr) -> Result<Self, Unexpected> {
        let io = |source| Unexpected::Io { who: "client".to_owned(), what: "connect", source };
        let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(io)?;
        socket.set_recv_buffer_size(SMALL_BUFFER).map_err(io)?;
        let connected = within_timeout("client", "a connection", socket.connect(to)).await?;
        Self::new("client", connected.map_err(io)?)
    }

    pub(crate) fn new(who: &'static str, stream: TcpStream) -> Result<Self, Unexpected> {
        let nodelay = stream.set_nodelay(true);
        nodelay.map_err(|source| Unexpected::Io { who: who.to_owned(), what: "set TCP_NODELAY", source })?;
        let (read, write) = stream.into_split();
        let reader = PeerReader { who, half: read, waiting: Vec::new(), end: None };
        Ok(Self { reader, writer: PeerWriter { who, half: write } })
    }

    /// Returns the local address of the connection.
    pub fn address(&self) -> Result<SocketAddr, Unexpected> {
        let PeerReader { who, half, .. } = &self.reader;
        half.local_addr().map_err(|source| Unexpected::Io {
            who: (*who).to_owned(),
            what: "get the local address",
            source,
        })
    }

    /// Returns both directions, to use them at the same time.
    pub fn split(&mut self) -> (&mut PeerReader, &mut PeerWriter) {
        (&mut self.reader, &mut self.writer)
    }

    /// Sends bytes.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), Unexpected> {
        self.writer.send(bytes).await
    }

    /// Sends bytes in pieces that the other end reads one by one.
    pub async fn send_in_pieces<'a>(&mut self, pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<(), Unexpected> {
        self.writer.send_in_pieces(pieces).await
    }

    /// Reads exactly these bytes.
    pub async fn expect(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), Unexpected> {
        self.reader.expect(bytes).await
    }

    /// Reads the head of a message.
    pub async fn read_head(&mut self) -> Result<Head, Unexpected> {
        self.reader.read_head().await
    }

    /// Reads `length` bytes.
    pub async fn read_exactly(&mut self, length: usize) -> Result<Vec<u8>, Unexpected> {
        self.reader.read_exactly(length).await
    }

    /// Reads whatever comes until the connection ends.
    pub async fn read_to_end(&mut self) -> Result<(Vec<u8>, End), Unexpected> {
        self.reader.read_to_end().await
    }

    /// Checks that nothing more comes and that the connection ends in this way.
    pub async fn expect_end(&mut self, end: End) -> Result<(), Unexpected> {
        self.reader.expect_end(end).await
    }

    /// Checks that nothing comes for `length`. It cannot see what comes later: prefer an event that can be awaited.
    pub async fn expect_silence(&mut self, length: Duration) -> Result<(), Unexpected> {
        self.reader.expect_silence(length).await
    }

    /// Sends a FIN; the other direction goes on.
    pub async fn half_close(&mut self) -> Result<(), Unexpected> {
        self.writer.half_close().await
    }

    /// Sends an RST, whatever was in flight.
    pub fn reset(self) -> Result<(), Unexpected> {
        let Self { reader, writer } = self;
        let linger = reader.half.as_ref().set_zero_linger();
        linger.map_err(|source| Unexpected::Io { who: reader.who.to_owned(), what: "set SO_LINGER", source })?;
        // Without this the half would send a FIN when it is dropped.
        writer.half.forget();
        Ok(())
    }
}

impl PeerWriter {
    /// Sends bytes.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), Unexpected> {
        let bytes = bytes.as_ref();
        let sent = within_timeout(self.who, "room to send", self.half.write_all(bytes)).await?;
        sent.map_err(|source| self.failed("send", source))
    }

    /// Sends bytes in pieces that the other end reads one by one.
    pub async fn send_in_pieces<'a>(&mut self, pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<(), Unexpected> {
        for (n, piece) in pieces.into_iter().enumerate() {
            if n > 0 {
                sleep(PACE).await;
            }
            self.send(piece).await?;
        }
        Ok(())
    }

    /// Sends a FIN; the other direction goes on.
    pub async fn half_close(&mut self) -> Result<(), Unexpected> {
        let done = self.half.shutdown().await;
        done.map_err(|source| self.failed("half-close", source))
    }

    fn failed(&self, what: &'static str, source: io::Error) -> Unexpected {
        Unexpected::Io { who: self.who.to_owned(), what, source }
    }
}

impl PeerReader {
    /// Reads exactly these bytes. Fails as soon as one differs.
    pub async fn expect(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), Unexpected> {
        let expected = bytes.as_ref();
        while self.waiting.len() < expected.len() {
            if !expected.starts_with(&self.waiting) {
                break;
            }
            if let Some(end) = self.more("the rest of the expected bytes").await? {
                Unexpected::unless_equal(self.who, expected, &self.waiting)?;
                return Err(self.ended(end, "the expected bytes"));
            }
        }
        let got = &self.waiting[..self.waiting.len().min(expected.len())];
        Unexpected::unless_equal(self.who, expected, got)?;
        self.waiting.drain(..expected.len());
        Ok(())
    }

    /// Reads `length` bytes.
    pub async fn read_exactly(&mut self, length: usize) -> Result<Vec<u8>, Unexpected> {
        while self.waiting.len() < length {
            if let Some(end) = self.more("more bytes").await? {
                return Err(self.ended(end, &format!("{length} bytes")));
            }
        }
        Ok(self.waiting.drain(..length).collect())
    }

    /// Reads up to and including `pattern`.
    pub async fn read_until(&mut self, pattern: &[u8]) -> Result<Vec<u8>, Unexpected> {
        let mut searched = 0;
        loop {
            let found = self.waiting[searched..].windows(pattern.len()).position(|window| window == pattern);
            if let Some(start) = found {
                return Ok(self.waiting.drain(..searched + start + pattern.len()).collect());
            }
            searched = (self.waiting.len() + 1).saturating_sub(pattern.len());
            let what = format!("\"{}\"", pattern.escape_ascii());
            if let Some(end) = self.more(&what).await? {
                return Err(self.ended(end, &what));
            }
        }
    }

    /// Reads the head of a message.
    pub async fn read_head(&mut self) -> Result<Head, Unexpected> {
        let head = self.read_until(b"\r\n\r\n").await?;
        Head::parse(&head)
            .ok_or_else(|| Unexpected::Other(format!("{}: not a head: {}", self.who, Excerpt::new(&head))))
    }

    /// Reads whatever comes until the connection ends.
    pub async fn read_to_end(&mut self) -> Result<(Vec<u8>, End), Unexpected> {
        loop {
            if let Some(end) = self.more("the end of the connection").await? {
                return Ok((std::mem::take(&mut self.waiting), end));
            }
        }
    }

    /// Checks that nothing more comes and that the connection ends in this way.
    pub async fn expect_end(&mut self, expected: End) -> Result<(), Unexpected> {
        let (rest, end) = self.read_to_end().await?;
        Unexpected::unless_equal(self.who, b"", &rest)?;
        if end == expected { Ok(()) } else { Err(self.ended(end, &expected.to_string())) }
    }

    /// Checks that nothing comes for `length`.
    pub async fn expect_silence(&mut self, length: Duration) -> Result<(), Unexpected> {
        Unexpected::unless_equal(self.who, b"", &self.waiting)?;
        match timeout(length, self.more("")).await {
            Err(_elapsed) => Ok(()),
            Ok(Err(unexpected)) => Err(unexpected),
            Ok(Ok(Some(end))) => Err(self.ended(end, "silence")),
            Ok(Ok(None)) => Unexpected::unless_equal(self.who, b"", &self.waiting),
        }
    }

    /// Waits for more bytes. Returns how the connection ended if it did.
    async fn more(&mut self, what: &str) -> Result<Option<End>, Unexpected> {
        if self.end.is_some() {
            return Ok(self.end);
        }
        let Ok(read) = timeout(TIMEOUT, self.half.read_buf(&mut self.waiting)).await else {
            let (who, what) = (self.who.to_owned(), what.to_owned());
            return Err(Unexpected::Silence { who, what, had: Excerpt::new(&self.waiting) });
        };
        self.end = match read {
            Ok(0) => Some(End::Fin),
            Ok(_) => None,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Some(End::Reset),
            Err(source) => return Err(Unexpected::Io { who: self.who.to_owned(), what: "receive", source }),
        };
        Ok(self.end)
    }

    fn ended(&self, end: End, what: &str) -> Unexpected {
        let (who, what) = (self.who.to_owned(), what.to_owned());
        Unexpected::Ended { who, end, what, had: Excerpt::new(&self.waiting) }
    }
}
