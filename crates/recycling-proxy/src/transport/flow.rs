//! One direction of a connection: bytes that were read from one peer and are written to the other.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::net::{SendFlags, send};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::transport::buffer::Buffer;
use crate::transport::pipe::Pipe;
use crate::transport::socket_memory::{Direction, ReceiveBuffer};
use crate::transport::wire::Wire;

/// All bytes may bypass the framing.
pub(crate) const ALL_UNSEEN: u64 = u64::MAX;

/// The least number of bytes without framing that are spliced. For fewer bytes, the two additional system calls of a
/// pipe cost as much as copying.
const UNSEEN_FROM: u64 = 16 * 1024;

/// Bytes that were read from a source and not yet written to a sink.
///
/// ```text
///           ┌─▶ buffer: bytes that the framing examines ─────────┐
///  source ──┤                                                    ├─▶ sink
///           └─▶ pipe: bytes that bypass it ("unseen"), spliced ──┘
/// ```
///
/// The bytes in the pipe follow those in the buffer. While the pipe is not empty, nothing more is read.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    /// The bytes that the framing examines.
    pub(crate) buffer: Buffer,
    pipe: Option<Box<Pipe>>,
    /// The receive buffer of the source's socket.
    received: ReceiveBuffer,
    source_ended: bool,
    /// Whether the last read in this poll returned `Pending`, so that the source will wake the task.
    source_waits: bool,
    /// Whether the last read was large, so that more bytes are likely to follow.
    is_bulk: bool,
    sink: Sink,
}

/// The state of the direction towards the sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sink {
    /// Bytes can be written.
    #[default]
    Open,
    /// Bytes can be written; TLS has buffered records that are not sent yet.
    Behind,
    /// A FIN is to be sent. Over TLS, it waits for buffered records.
    Ending,
    /// A FIN was sent.
    Ended,
    /// Writes failed. Reads may still succeed.
    WriteClosed,
}

impl Flow {
    /// Begins a poll of the task. Within a poll, a source that returned `Pending` is not read again.
    pub(crate) const fn begin_poll(&mut self) {
        self.source_waits = false;
    }

    /// Reads once if there is room. `unseen` is the number of bytes that may bypass the framing. Returns whether it
    /// read bytes or the end of the stream.
    ///
    /// It allocates memory only when the source is readable, so that idle connections have no buffer.
    pub(crate) fn fill(
        &mut self,
        source: &mut Wire,
        sink: &Wire,
        unseen: u64,
        cx: &mut Context<'_>,
    ) -> io::Result<bool> {
        if self.buffer.is_starved() {
            self.buffer.grow();
            if self.buffer.is_starved() {
                // Evicted connections are woken before this task, and free their memory before it is polled again.
                cx.waker().wake_by_ref();
            }
        }
        if self.source_waits || self.source_ended || self.pipe.is_some() || self.buffer.is_full() {
            return Ok(false);
        }
        let read = match self.pipe_for(source, sink, unseen) {
            Some(pipe) => self.poll_fill_pipe(pipe, source, sink, unseen, cx),
            None => self.poll_fill_buffer(source, cx),
        };
        self.note(read, source, sink)
    }

    /// Reads bytes that may bypass the framing into a pipe, if that is worthwhile. It does so before the preceding head
    /// is written, so that the sink is woken only once for both.
    pub(crate) fn fill_unseen(
        &mut self,
        source: &Wire,
        sink: &Wire,
        unseen: u64,
        cx: &mut Context<'_>,
    ) -> io::Result<bool> {
        if unseen < UNSEEN_FROM || self.source_waits || self.source_ended || self.pipe.is_some() {
            return Ok(false);
        }
        let Some(pipe) = self.pipe_for(source, sink, unseen) else { return Ok(false) };
        let read = self.poll_fill_pipe(pipe, source, sink, unseen, cx);
        self.note(read, source, sink)
    }

    /// Returns the number of bytes that bypassed the framing since the last call.
    ///
    /// Call it between a read and the next [`Flow::flush`], because bytes that have left the pipe are not counted.
    pub(crate) fn take_passed_unseen(&mut self) -> u64 {
        self.pipe.as_mut().map_or(0, |pipe| pipe.take_unseen())
    }

    /// Records the result of a read; 0 bytes are the end of the stream. Returns whether it was not `Pending`.
    fn note(&mut self, read: Poll<io::Result<usize>>, source: &Wire, sink: &Wire) -> io::Result<bool> {
        match read {
            Poll::Pending => {
                self.source_waits = true;
                Ok(false)
            }
            Poll::Ready(Ok(count)) => {
                self.source_ended = count == 0;
                self.is_bulk = count as u64 >= UNSEEN_FROM;
                if let Some((account, from)) = self.buffer.charged_account() {
                    let direction = Direction { source: source.socket(), sink: sink.socket(), from, account };
                    self.received.has_read(count, &direction);
                }
                Ok(true)
            }
            Poll::Ready(Err(error)) => {
                self.source_ended = true;
                Err(error)
            }
        }
    }

    fn pipe_for(&self, source: &Wire, sink: &Wire, unseen: u64) -> Option<Pipe> {
        if unseen < UNSEEN_FROM || (unseen == ALL_UNSEEN && !self.is_bulk) {
            return None;
        }
        let in_order = self.buffer.unexamined().is_empty() && self.sink == Sink::Open;
        (in_order && source.plain().is_some() && sink.plain().is_some()).then(Pipe::take).flatten()
    }

    fn poll_fill_pipe(
        &mut self,
        mut pipe: Pipe,
        source: &Wire,
        sink: &Wire,
        unseen: u64,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let Some(socket) = source.plain() else { return Poll::Pending };
        if let Some((account, from)) = self.buffer.charged_account() {
            self.received.expect(unseen, &Direction { source: socket, sink: sink.socket(), from, account });
        }
        let count = ready!(pipe.poll_fill(socket, unseen, cx))?;
        self.buffer.record_progress();
        self.buffer.expect_head();
        self.pipe = (count > 0).then(|| Box::new(pipe));
        Poll::Ready(Ok(count))
    }

    fn poll_fill_buffer(&mut self, source: &mut Wire, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        ready!(source.poll_readable(cx))?;
        let mut room = ReadBuf::new(self.buffer.room());
        let read = Pin::new(source).poll_read(cx, &mut room);
        let count = room.filled().len();
        self.buffer.filled(count);
        read.map_ok(|()| count)
    }

    /// Calls `look` on the buffer. Returns whether that made room for more bytes.
    pub(crate) fn examine<E>(&mut self, look: impl FnOnce(&mut Buffer) -> Result<(), E>) -> Result<bool, E> {
        if self.buffer.unexamined().is_empty() {
            return Ok(false);
        }
        let was_full = self.buffer.is_full();
        look(&mut self.buffer)?;
        Ok(was_full && !self.buffer.is_full())
    }

    /// Writes cleared bytes until none are left or the sink returns `Pending`. Returns whether there were some and all
    /// were written.
    pub(crate) fn flush(&mut self, sink: &mut Wire, cx: &mut Context<'_>) -> io::Result<bool> {
        if !self.has_unwritten() && sink.plain().is_some() {
            return Ok(false);
        }
        let was_behind = self.sink == Sink::Behind;
        let flushed = self.poll_flush(sink, cx);
        if matches!(self.sink, Sink::Open | Sink::Behind) {
            let is_behind = flushed.is_pending() && sink.plain().is_none();
            self.sink = if is_behind { Sink::Behind } else { Sink::Open };
        }
        match flushed {
            Poll::Ready(flushed) => flushed.map(|wrote| wrote || was_behind),
            Poll::Pending => Ok(false),
        }
    }

    fn poll_flush(&mut self, sink: &mut Wire, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut wrote = false;
        while !self.buffer.cleared().is_empty() {
            let count = ready!(self.poll_write(sink, cx))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.buffer.written(count);
            wrote = true;
        }
        if let (Some(pipe), Some(socket)) = (&mut self.pipe, sink.plain()) {
            let held = pipe.holds();
            let flushed = pipe.poll_flush(socket, cx);
            if pipe.holds() != held {
                self.buffer.record_progress();
            }
            ready!(flushed)?;
            self.pipe = None;
            wrote = true;
        }
        ready!(Pin::new(sink).poll_flush(cx))?;
        Poll::Ready(Ok(wrote))
    }

    fn poll_write(&self, sink: &mut Wire, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match (&self.pipe, sink.plain()) {
            (Some(_), Some(socket)) => poll_write_with_more(socket, self.buffer.cleared(), cx),
            (_, _) => Pin::new(sink).poll_write(cx, self.buffer.cleared()),
        }
    }

    /// Writes as [`Flow::flush`] does, to a sink that may have sent an early response and closed. After a failed write,
    /// bytes for the sink are dropped, so that the source can finish sending and read that response.
    pub(crate) fn flush_or_drop(&mut self, sink: &mut Wire, cx: &mut Context<'_>) -> bool {
        if self.sink == Sink::WriteClosed {
            self.buffer.discard();
            return false;
        }
        self.flush(sink, cx).unwrap_or_else(|_| {
            self.give_up_sink();
            true
        })
    }

    /// Drops the bytes in flight and all later ones, because writes to the sink fail.
    pub(crate) fn give_up_sink(&mut self) {
        self.sink = Sink::WriteClosed;
        self.pipe = None;
        self.buffer.discard();
    }

    /// Sends the sink a FIN once the source has ended and everything was written. Returns whether it was sent now.
    pub(crate) fn pass_end(&mut self, sink: &mut Wire, cx: &mut Context<'_>) -> bool {
        if self.source_ended && self.sink == Sink::Open && self.is_empty() {
            self.sink = Sink::Ending;
        }
        // On TCP this is `shutdown(2)`, which does not block. If it fails, the connection no longer exists, and the
        // next read returns the error.
        let now = self.sink == Sink::Ending && Pin::new(sink).poll_shutdown(cx).is_ready();
        if now {
            self.sink = Sink::Ended;
        }
        now
    }

    /// Returns whether the source has ended its stream. Bytes of it may still be in flight.
    pub(crate) const fn source_ended(&self) -> bool {
        self.source_ended
    }

    /// Returns whether a FIN for the sink waits for buffered TLS records.
    pub(crate) fn is_ending(&self) -> bool {
        self.sink == Sink::Ending
    }

    /// Returns whether the sink was sent a FIN.
    pub(crate) fn has_passed_end(&self) -> bool {
        self.sink == Sink::Ended
    }

    /// Returns whether writes to the sink failed.
    pub(crate) fn is_write_closed(&self) -> bool {
        self.sink == Sink::WriteClosed
    }

    /// Returns whether no byte is in flight.
    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.is_empty() && self.pipe.is_none() && self.sink != Sink::Behind
    }

    /// Returns whether there are cleared bytes that are not written yet.
    pub(crate) fn has_unwritten(&self) -> bool {
        let by_tls = matches!(self.sink, Sink::Behind | Sink::Ending);
        by_tls || !self.buffer.cleared().is_empty() || self.pipe.is_some()
    }
}

/// Writes bytes that others follow at once (`MSG_MORE`), so that both are sent in one segment and wake the sink once.
fn poll_write_with_more(socket: &TcpStream, bytes: &[u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    loop {
        ready!(socket.poll_write_ready(cx))?;
        match socket.try_io(Interest::WRITABLE, || Ok(send(socket, bytes, SendFlags::MORE | SendFlags::NOSIGNAL)?)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            wrote => return Poll::Ready(wrote),
        }
    }
}
