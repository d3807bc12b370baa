//! The connection to a peer: TCP, or TLS over it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

/// The connection to a peer.
#[derive(Debug)]
pub(crate) enum Wire {
    /// The bytes as they are.
    Plain(TcpStream),
    /// Boxed: most connections are plain, and ten thousand of them should not pay for the few.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    /// Ready once a read may find something; where that cannot be told without memory to read into, at once.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => stream.poll_read_ready(cx),
            Self::Tls(_) => Poll::Ready(Ok(())),
        }
    }

    /// Returns the socket, where its bytes are the peer's own.
    pub(crate) const fn plain(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(stream) => Some(stream),
            Self::Tls(_) => None,
        }
    }

    /// Returns the socket underneath.
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    /// Has the kernel ask a silent peer whether it is still there; the answer of one that is not becomes an error of the
    /// socket's.
    pub(crate) fn probe_every(&self, interval: Duration) {
        let probes = TcpKeepalive::new().with_time(interval).with_interval(interval);
        // Where the option cannot be set the connection is gone.
        let _ = SockRef::from(self.socket()).set_tcp_keepalive(&probes);
    }

    /// Returns whether the kernel has learnt that the peer is gone.
    pub(crate) fn has_failed(&self) -> bool {
        !matches!(self.socket().take_error(), Ok(None))
    }

    /// Closes in order: over TLS after its own end (`close_notify`), as far as the socket takes that at once.
    pub(crate) fn close(mut self) {
        if let Self::Tls(stream) = &mut self {
            let _ = Pin::new(stream).poll_shutdown(&mut Context::from_waker(Waker::noop()));
        }
    }

    /// Closes with a reset, so that the peer cannot take what it has for the whole.
    pub(crate) fn reset(self) {
        // Where the option cannot be set the connection is gone, and with it the reason to reset it.
        let _ = self.socket().set_zero_linger();
    }
}

impl From<TcpStream> for Wire {
    fn from(stream: TcpStream) -> Self {
        Self::Plain(stream)
    }
}

impl From<TlsStream<TcpStream>> for Wire {
    fn from(stream: TlsStream<TcpStream>) -> Self {
        Self::Tls(Box::new(stream))
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, room),
            Self::Tls(stream) => match (ready!(Pin::new(&mut *stream).poll_read(cx, room)), &**stream) {
                // Many clients end without the alert that TLS has for it (close_notify). What matters is whether their
                // request is whole, and that its framing says. An app that does so may have cut an answer short whose
                // end is the connection's: that stays an error.
                (Err(error), TlsStream::Server(_)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    Poll::Ready(Ok(()))
                }
                (read, TlsStream::Server(_) | TlsStream::Client(_)) => Poll::Ready(read),
            },
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
