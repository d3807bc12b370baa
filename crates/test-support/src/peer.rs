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
use crate::surprise::{PATIENCE, Shown, Surprise, within_patience};

/// Between two pieces of a message, so that the other end reads them one by one. Where a busy machine joins them all
/// the same, the test sees one cut less; it never fails for it.
const PACE: Duration = Duration::from_millis(2);

/// What a kernel takes for a peer with little room, bytes.
const LITTLE_ROOM: u32 = 16 * 1024;

/// One end of a connection: a client, or an app's end of one.
#[derive(Debug)]
pub struct Peer {
    listening: Listening,
    speaking: Speaking,
}

/// What a peer hears.
#[derive(Debug)]
pub struct Listening {
    who: &'static str,
    half: OwnedReadHalf,
    /// What came and was not taken yet.
    waiting: Vec<u8>,
    end: Option<End>,
}

/// What a peer says.
#[derive(Debug)]
pub struct Speaking {
    who: &'static str,
    half: OwnedWriteHalf,
}

impl Peer {
    /// Connects as a client.
    pub async fn connect(to: SocketAddr) -> Result<Self, Surprise> {
        let connected = within_patience("client", "a connection", TcpStream::connect(to)).await?;
        let io = |source| Surprise::Io { who: "client".to_owned(), what: "connect", source };
        Self::new("client", connected.map_err(io)?)
    }

    /// Connects as a client whose kernel takes few bytes before they are read: the rest waits in the server's.
    pub async fn connect_with_little_room(to: SocketAddr) -> Result<Self, Surprise> {
        let io = |source| Surprise::Io { who: "client".to_owned(), what: "connect", source };
        let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(io)?;
        socket.set_recv_buffer_size(LITTLE_ROOM).map_err(io)?;
        let connected = within_patience("client", "a connection", socket.connect(to)).await?;
        Self::new("client", connected.map_err(io)?)
    }

    pub(crate) fn new(who: &'static str, stream: TcpStream) -> Result<Self, Surprise> {
        let nodelay = stream.set_nodelay(true);
        nodelay.map_err(|source| Surprise::Io { who: who.to_owned(), what: "set TCP_NODELAY", source })?;
        let (read, write) = stream.into_split();
        let listening = Listening { who, half: read, waiting: Vec::new(), end: None };
        Ok(Self { listening, speaking: Speaking { who, half: write } })
    }

    /// Returns its own address.
    pub fn address(&self) -> Result<SocketAddr, Surprise> {
        let Listening { who, half, .. } = &self.listening;
        half.local_addr().map_err(|source| Surprise::Io { who: (*who).to_owned(), what: "tell its address", source })
    }

    /// Both directions, to use them at the same time.
    pub fn split(&mut self) -> (&mut Listening, &mut Speaking) {
        (&mut self.listening, &mut self.speaking)
    }

    /// Sends bytes.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), Surprise> {
        self.speaking.send(bytes).await
    }

    /// Sends bytes in pieces that the other end reads one by one.
    pub async fn send_in_pieces<'a>(&mut self, pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<(), Surprise> {
        self.speaking.send_in_pieces(pieces).await
    }

    /// Reads exactly these bytes.
    pub async fn expect(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), Surprise> {
        self.listening.expect(bytes).await
    }

    /// Reads the head of a message.
    pub async fn read_head(&mut self) -> Result<Head, Surprise> {
        self.listening.read_head().await
    }

    /// Reads so many bytes.
    pub async fn read_exactly(&mut self, length: usize) -> Result<Vec<u8>, Surprise> {
        self.listening.read_exactly(length).await
    }

    /// Reads whatever comes until the connection ends.
    pub async fn read_to_end(&mut self) -> Result<(Vec<u8>, End), Surprise> {
        self.listening.read_to_end().await
    }

    /// Nothing more comes, and the connection ends in this way.
    pub async fn expect_end(&mut self, end: End) -> Result<(), Surprise> {
        self.listening.expect_end(end).await
    }

    /// Nothing comes for a while. What comes later goes unseen, so use it where nothing better shows the same.
    pub async fn expect_silence(&mut self, length: Duration) -> Result<(), Surprise> {
        self.listening.expect_silence(length).await
    }

    /// Sends a FIN; the other direction goes on.
    pub async fn half_close(&mut self) -> Result<(), Surprise> {
        self.speaking.half_close().await
    }

    /// Sends an RST, whatever was under way.
    pub fn reset(self) -> Result<(), Surprise> {
        let Self { listening, speaking } = self;
        let linger = listening.half.as_ref().set_zero_linger();
        linger.map_err(|source| Surprise::Io { who: listening.who.to_owned(), what: "set SO_LINGER", source })?;
        // Dropped as usual, the half would send a FIN first.
        speaking.half.forget();
        Ok(())
    }
}

impl Speaking {
    /// Sends bytes.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), Surprise> {
        let bytes = bytes.as_ref();
        let sent = within_patience(self.who, "room to send", self.half.write_all(bytes)).await?;
        sent.map_err(|source| self.failed("send", source))
    }

    /// Sends bytes in pieces that the other end reads one by one.
    pub async fn send_in_pieces<'a>(&mut self, pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<(), Surprise> {
        for (n, piece) in pieces.into_iter().enumerate() {
            if n > 0 {
                sleep(PACE).await;
            }
            self.send(piece).await?;
        }
        Ok(())
    }

    /// Sends a FIN; the other direction goes on.
    pub async fn half_close(&mut self) -> Result<(), Surprise> {
        let done = self.half.shutdown().await;
        done.map_err(|source| self.failed("half-close", source))
    }

    fn failed(&self, what: &'static str, source: io::Error) -> Surprise {
        Surprise::Io { who: self.who.to_owned(), what, source }
    }
}

impl Listening {
    /// Reads exactly these bytes; says so as soon as one differs.
    pub async fn expect(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), Surprise> {
        let expected = bytes.as_ref();
        while self.waiting.len() < expected.len() {
            if !expected.starts_with(&self.waiting) {
                break;
            }
            if let Some(end) = self.more("the rest of the expected bytes").await? {
                Surprise::unless_equal(self.who, expected, &self.waiting)?;
                return Err(self.ended(end, "the expected bytes"));
            }
        }
        let got = &self.waiting[..self.waiting.len().min(expected.len())];
        Surprise::unless_equal(self.who, expected, got)?;
        self.waiting.drain(..expected.len());
        Ok(())
    }

    /// Reads so many bytes.
    pub async fn read_exactly(&mut self, length: usize) -> Result<Vec<u8>, Surprise> {
        while self.waiting.len() < length {
            if let Some(end) = self.more("more bytes").await? {
                return Err(self.ended(end, &format!("{length} bytes")));
            }
        }
        Ok(self.waiting.drain(..length).collect())
    }

    /// Reads up to and including `pattern`.
    pub async fn read_until(&mut self, pattern: &[u8]) -> Result<Vec<u8>, Surprise> {
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
    pub async fn read_head(&mut self) -> Result<Head, Surprise> {
        let head = self.read_until(b"\r\n\r\n").await?;
        Head::parse(&head).ok_or_else(|| Surprise::Other(format!("{}: not a head: {}", self.who, Shown::new(&head))))
    }

    /// Reads whatever comes until the connection ends.
    pub async fn read_to_end(&mut self) -> Result<(Vec<u8>, End), Surprise> {
        loop {
            if let Some(end) = self.more("the end of the connection").await? {
                return Ok((std::mem::take(&mut self.waiting), end));
            }
        }
    }

    /// Nothing more comes, and the connection ends in this way.
    pub async fn expect_end(&mut self, expected: End) -> Result<(), Surprise> {
        let (rest, end) = self.read_to_end().await?;
        Surprise::unless_equal(self.who, b"", &rest)?;
        if end == expected { Ok(()) } else { Err(self.ended(end, &expected.to_string())) }
    }

    /// Nothing comes for a while.
    pub async fn expect_silence(&mut self, length: Duration) -> Result<(), Surprise> {
        Surprise::unless_equal(self.who, b"", &self.waiting)?;
        match timeout(length, self.more("")).await {
            Err(_elapsed) => Ok(()),
            Ok(Err(surprise)) => Err(surprise),
            Ok(Ok(Some(end))) => Err(self.ended(end, "silence")),
            Ok(Ok(None)) => Surprise::unless_equal(self.who, b"", &self.waiting),
        }
    }

    /// Waits for more bytes; returns how the connection ended if it did.
    async fn more(&mut self, what: &str) -> Result<Option<End>, Surprise> {
        if self.end.is_some() {
            return Ok(self.end);
        }
        let Ok(read) = timeout(PATIENCE, self.half.read_buf(&mut self.waiting)).await else {
            let (who, what) = (self.who.to_owned(), what.to_owned());
            return Err(Surprise::Silence { who, what, had: Shown::new(&self.waiting) });
        };
        self.end = match read {
            Ok(0) => Some(End::Fin),
            Ok(_) => None,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Some(End::Reset),
            Err(source) => return Err(Surprise::Io { who: self.who.to_owned(), what: "receive", source }),
        };
        Ok(self.end)
    }

    fn ended(&self, end: End, what: &str) -> Surprise {
        let (who, what) = (self.who.to_owned(), what.to_owned());
        Surprise::Ended { who, end, what, had: Shown::new(&self.waiting) }
    }
}
