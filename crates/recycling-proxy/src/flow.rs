//! Moves bytes between a socket and a buffer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::buffer::Buffer;

/// Whether a peer still takes bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sink {
    /// It does.
    Open,
    /// It was sent a FIN.
    Ended,
    /// It takes no more; it may still have something to say.
    Deaf,
}

/// Reads once into the buffer, which must not be full; `Ok(0)` is the end of the stream.
///
/// Memory is taken only once there is something to read: an idle connection waits without any.
pub(crate) fn poll_fill(stream: &mut TcpStream, buffer: &mut Buffer, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    ready!(stream.poll_read_ready(cx))?;
    let mut room = ReadBuf::new(buffer.room());
    let read = Pin::new(stream).poll_read(cx, &mut room);
    let count = room.filled().len();
    buffer.filled(count);
    read.map_ok(|()| count)
}

/// Writes cleared bytes until none is left, or the socket takes no more.
///
/// `Ready(Ok(true))` where something was written and nothing is left, `Ready(Ok(false))` where there was nothing to
/// write. What was written before the socket filled up is told by the buffer.
pub(crate) fn poll_flush(stream: &mut TcpStream, buffer: &mut Buffer, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
    let mut wrote = false;
    while !buffer.cleared().is_empty() {
        let count = ready!(Pin::new(&mut *stream).poll_write(cx, buffer.cleared()))?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        buffer.written(count);
        wrote = true;
    }
    Poll::Ready(Ok(wrote))
}

/// Sends a FIN. On a TCP socket this is `shutdown(2)`, which does not wait.
pub(crate) fn end(stream: &mut TcpStream, cx: &mut Context<'_>) {
    // A socket that cannot be shut down is already gone, which the next read says better.
    let _ = Pin::new(stream).poll_shutdown(cx);
}

/// Closes with a reset, so that the peer cannot take what it has for the whole.
pub(crate) fn reset(stream: TcpStream) {
    // Where the option cannot be set the connection is gone, and with it the reason to reset it.
    let _ = stream.set_zero_linger();
    drop(stream);
}
