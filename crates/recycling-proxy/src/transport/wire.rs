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
    /// Plain TCP.
    Plain(TcpStream),
    /// TLS over TCP. It is boxed, because most connections are plain and would be as large.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    /// Returns `Ready` once a read may return bytes. Over TLS that is unknown without a read, so it returns `Ready` at
    /// once.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => stream.poll_read_ready(cx),
            Self::Tls(_) => Poll::Ready(Ok(())),
        }
    }

    /// Returns the socket if the connection is plain TCP.
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

    /// Enables TCP keepalive with this interval. If the peer no longer exists, the socket gets an error.
    pub(crate) fn probe_every(&self, interval: Duration) {
        let probes = TcpKeepalive::new().with_time(interval).with_interval(interval);
        // If the option cannot be set, the connection no longer exists.
        let _ = SockRef::from(self.socket()).set_tcp_keepalive(&probes);
    }

    /// Returns whether the socket has an error.
    pub(crate) fn has_failed(&self) -> bool {
        !matches!(self.socket().take_error(), Ok(None))
    }

    /// Closes the connection with a FIN. Over TLS a `close_notify` alert precedes it, if the socket accepts it at once.
    pub(crate) fn close(mut self) {
        if let Self::Tls(stream) = &mut self {
            let _ = Pin::new(stream).poll_shutdown(&mut Context::from_waker(Waker::noop()));
        }
    }

    /// Closes the connection with a reset, so that the peer does not take the bytes that it has for a complete message.
    pub(crate) fn reset(self) {
        // If the option cannot be set, the connection no longer exists, and with it the reason to reset it.
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
                // Many clients close without a close_notify alert. That is harmless, because the framing shows whether
                // their request is complete. From an app it stays an error: a response that ends with the connection
                // may be truncated.
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
