//! One direction of a connection: bytes from a peer on their way to the other.

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

/// As many bytes as come may go past the framing.
pub(crate) const ALL_UNSEEN: u64 = u64::MAX;

/// From so many bytes on that the framing need not see, they stay in the kernel: below, the two system calls more for a
/// pipe cost what the copying does.
const UNSEEN_FROM: u64 = 16 * 1024;

/// Bytes that were read from a source and not yet written to a sink.
///
/// ```text
///           ┌─▶ buffer: the framing looks ──┐
///  source ──┤                               ├─▶ sink
///           └─▶ pipe: it has looked ahead ──┘
/// ```
///
/// What is in the pipe comes after what is in the buffer: while it holds anything nothing more is read.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    /// What the framing has to look at.
    pub(crate) buffer: Buffer,
    pipe: Option<Box<Pipe>>,
    /// What the kernel holds for the source.
    received: ReceiveBuffer,
    source_ended: bool,
    /// The source had nothing more when it was last asked in this poll: it wakes the task when it has.
    source_waits: bool,
    /// The last read has brought much: more is likely to come.
    is_bulk: bool,
    sink: Sink,
}

/// Whether a peer still takes bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sink {
    /// It does.
    #[default]
    Open,
    /// It does; TLS has bytes for it that it has not sent yet.
    Behind,
    /// It is being sent a FIN, which over TLS waits for what goes before it.
    Ending,
    /// It was sent a FIN.
    Ended,
    /// It takes no more; it may still have something to say.
    WriteClosed,
}

impl Flow {
    /// Begins a poll, in which a source that has nothing to read is asked once.
    pub(crate) const fn begin_poll(&mut self) {
        self.source_waits = false;
    }

    /// Reads once, where there is room; `unseen` is the number of bytes that may go past the framing. Whether that has
    /// brought anything, be it the end.
    ///
    /// Memory is taken only once there is something to read: an idle connection waits without any.
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
                // Those that make room are awake already, and leave before this is asked again.
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

    /// Reads once what may go past the framing, if that is worthwhile: before the head in front of it is written, so that
    /// the sink is not woken for that alone.
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

    /// The number of bytes that went past the framing since this was last asked.
    ///
    /// To be asked between a read and the next [`Flow::flush`]: what has left the pipe is not counted.
    pub(crate) fn take_passed_unseen(&mut self) -> u64 {
        self.pipe.as_mut().map_or(0, |pipe| pipe.take_unseen())
    }

    /// `read` has brought so many bytes; none are the end.
    fn note(&mut self, read: Poll<io::Result<usize>>, source: &Wire, sink: &Wire) -> io::Result<bool> {
        match read {
            Poll::Pending => {
                self.source_waits = true;
                Ok(false)
            }
            Poll::Ready(Ok(count)) => {
                self.source_ended = count == 0;
                self.is_bulk = count as u64 >= UNSEEN_FROM;
                if let Some((account, from)) = self.buffer.payer() {
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
        if let Some((account, from)) = self.buffer.payer() {
            self.received.expect(unseen, &Direction { source: socket, sink: sink.socket(), from, account });
        }
        let count = ready!(pipe.poll_fill(socket, unseen, cx))?;
        self.buffer.has_moved();
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

    /// Lets the framing look at the buffer; whether that has made room, which is to be read into.
    pub(crate) fn examine<E>(&mut self, look: impl FnOnce(&mut Buffer) -> Result<(), E>) -> Result<bool, E> {
        if self.buffer.unexamined().is_empty() {
            return Ok(false);
        }
        let was_full = self.buffer.is_full();
        look(&mut self.buffer)?;
        Ok(was_full && !self.buffer.is_full())
    }

    /// Writes what may pass until nothing is left of it, or the sink takes no more; whether all could be written, and
    /// there was something.
    pub(crate) fn flush(&mut self, sink: &mut Wire, cx: &mut Context<'_>) -> io::Result<bool> {
        if !self.is_owed() && sink.plain().is_some() {
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
                self.buffer.has_moved();
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

    /// As [`Flow::flush`], for a sink that may have answered early and closed: what comes for it is dropped from then on,
    /// so that the source is not kept from reading that answer.
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

    /// The sink takes no more: what is on its way is dropped.
    pub(crate) fn give_up_sink(&mut self) {
        self.sink = Sink::WriteClosed;
        self.pipe = None;
        self.buffer.discard();
    }

    /// Sends the sink a FIN once the source has ended and everything was written; whether that was now.
    pub(crate) fn pass_end(&mut self, sink: &mut Wire, cx: &mut Context<'_>) -> bool {
        if self.source_ended && self.sink == Sink::Open && self.is_empty() {
            self.sink = Sink::Ending;
        }
        // On TCP this is `shutdown(2)`, which does not wait. A socket that cannot be shut down is already gone, which the
        // next read says better.
        let now = self.sink == Sink::Ending && Pin::new(sink).poll_shutdown(cx).is_ready();
        if now {
            self.sink = Sink::Ended;
        }
        now
    }

    /// Whether the source has no more to say; what it has said may still be here.
    pub(crate) const fn source_ended(&self) -> bool {
        self.source_ended
    }

    /// Whether the sink is being sent a FIN that waits for what goes before it.
    pub(crate) fn is_ending(&self) -> bool {
        self.sink == Sink::Ending
    }

    /// Whether the sink was sent a FIN.
    pub(crate) fn has_passed_end(&self) -> bool {
        self.sink == Sink::Ended
    }

    /// Whether the sink takes no more.
    pub(crate) fn is_write_closed(&self) -> bool {
        self.sink == Sink::WriteClosed
    }

    /// Whether nothing is in flight.
    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.is_empty() && self.pipe.is_none() && self.sink != Sink::Behind
    }

    /// Whether the sink has yet to take something that may pass.
    pub(crate) fn is_owed(&self) -> bool {
        let by_tls = matches!(self.sink, Sink::Behind | Sink::Ending);
        by_tls || !self.buffer.cleared().is_empty() || self.pipe.is_some()
    }
}

/// Writes what is followed at once by more, so that both go in one segment and the sink is woken once.
fn poll_write_with_more(socket: &TcpStream, bytes: &[u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    loop {
        ready!(socket.poll_write_ready(cx))?;
        match socket.try_io(Interest::WRITABLE, || Ok(send(socket, bytes, SendFlags::MORE | SendFlags::NOSIGNAL)?)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            wrote => return Poll::Ready(wrote),
        }
    }
}
