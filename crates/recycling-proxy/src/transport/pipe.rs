//! Pipes of the kernel, through which bytes go from one socket to another without a copy in between (`splice(2)`).

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// What a pipe should hold: four times the kernel's default, for a quarter of the system calls.
const CAPACITY: usize = 256 * 1024;
/// Less is no gain: a copy of as much costs what the system calls do.
const LEAST_CAPACITY: usize = 64 * 1024;
/// Pipes of a thread at a time; whoever finds none copies. They cost two descriptors each, and [`CAPACITY`] of the budget that
/// all proxies of a node share: 16 of them have to be at their most until it is spent.
const MOST: usize = 16;
/// Where the budget is spent a pipe is tried again for after so many copies: to ask costs four system calls.
const COPIES_BETWEEN: usize = 1000;
/// Empty pipes that a thread keeps for the next bytes. One is enough unless sinks are slow; and all proxies of a node
/// have the same user, whose pipes share a budget (64 MiB, `/proc/sys/fs/pipe-user-pages-soft`), used or not.
const POOLED: usize = 2;

thread_local! {
    static POOL: RefCell<Vec<Ends>> = const { RefCell::new(Vec::new()) };
    static IN_USE: Cell<usize> = const { Cell::new(0) };
    static COPIES: Cell<usize> = const { Cell::new(0) };
}

#[derive(Debug)]
struct Ends {
    read: OwnedFd,
    write: OwnedFd,
}

/// A pipe on loan; given back when dropped, unless bytes are in it.
#[derive(Debug)]
pub(crate) struct Pipe {
    ends: Option<Ends>,
    holds: usize,
    /// Bytes that came into it since the framing was last told.
    unseen: usize,
}

impl Pipe {
    /// An empty pipe; `None` where there are too many, or the process may open no more.
    pub(crate) fn take() -> Option<Self> {
        if IN_USE.get() >= MOST {
            return None;
        }
        if COPIES.get() > 0 && POOL.with_borrow(Vec::is_empty) {
            COPIES.set(COPIES.get().saturating_sub(1));
            return None;
        }
        let ends = POOL.with_borrow_mut(Vec::pop).or_else(Ends::open)?;
        IN_USE.set(IN_USE.get().saturating_add(1));
        Some(Self { ends: Some(ends), holds: 0, unseen: 0 })
    }

    /// Takes up to `most` bytes from the socket into the pipe, which must be empty; 0 is the end of the stream.
    pub(crate) fn poll_fill(&mut self, source: &TcpStream, most: u64, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(Ends { write, .. }) = &self.ends else { return Poll::Ready(Ok(0)) };
        let most = usize::try_from(most).unwrap_or(CAPACITY).min(CAPACITY);
        loop {
            ready!(source.poll_read_ready(cx))?;
            match source.try_io(Interest::READABLE, || Ok(splice(source, None, write, None, most, FLAGS)?)) {
                Ok(count) => {
                    (self.holds, self.unseen) = (count, count);
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Bytes that are in it.
    pub(crate) const fn holds(&self) -> usize {
        self.holds
    }

    /// Returns the bytes that came into it since this was last asked.
    pub(crate) fn take_unseen(&mut self) -> u64 {
        std::mem::take(&mut self.unseen) as u64
    }

    /// Gives all that it holds to the socket.
    pub(crate) fn poll_flush(&mut self, sink: &TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(Ends { read, .. }) = &self.ends else { return Poll::Ready(Ok(())) };
        while self.holds > 0 {
            ready!(sink.poll_write_ready(cx))?;
            match sink.try_io(Interest::WRITABLE, || Ok(splice(read, None, sink, None, self.holds, FLAGS)?)) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    debug_assert!(count <= self.holds, "{count} bytes came out of a pipe that held {}", self.holds);
                    self.holds = self.holds.saturating_sub(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

const FLAGS: SpliceFlags = SpliceFlags::NONBLOCK.union(SpliceFlags::MOVE);

impl Ends {
    fn open() -> Option<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        // Where the budget of the user is spent, a new pipe has two pages and may not have more: with so little, a byte costs
        // three times what its copy does.
        let size = fcntl_setpipe_size(&write, CAPACITY).or_else(|_| fcntl_getpipe_size(&write)).unwrap_or_default();
        if size < LEAST_CAPACITY {
            COPIES.set(COPIES_BETWEEN);
            return None;
        }
        Some(Self { read, write })
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        debug_assert!(IN_USE.get() > 0, "a pipe is given back by another thread than the one that took it");
        IN_USE.set(IN_USE.get().saturating_sub(1));
        if let Some(ends) = self.ends.take()
            && self.holds == 0
        {
            POOL.with_borrow_mut(|pool| {
                if pool.len() < POOLED {
                    pool.push(ends);
                }
            });
        }
    }
}
