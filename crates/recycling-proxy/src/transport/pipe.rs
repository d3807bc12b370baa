//! Pipes that move bytes from one socket to another without copying them to user space (`splice(2)`).

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// The capacity of a pipe: four times the kernel's default, for a quarter of the system calls.
const CAPACITY: usize = 256 * 1024;
/// The least useful capacity: copying fewer bytes costs no more than the system calls.
const LEAST_CAPACITY: usize = 64 * 1024;
/// The most pipes of a thread at a time; further connections copy. A pipe costs two descriptors, and [`CAPACITY`] of a
/// budget that all proxies of a node share, which 16 proxies with all their pipes use up.
const MOST: usize = 16;
/// The number of copies before another attempt to open a pipe, once the budget is used up. An attempt costs four system
/// calls.
const COPIES_BETWEEN: usize = 1000;
/// The most empty pipes that a thread keeps. One is enough unless sinks are slow. Empty pipes count towards the budget,
/// too: all proxies of a node have the same user, whose pipes share 64 MiB (`/proc/sys/fs/pipe-user-pages-soft`).
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

/// A pipe from the thread's pool. Dropping it returns it to the pool, unless there are bytes in it.
#[derive(Debug)]
pub(crate) struct Pipe {
    ends: Option<Ends>,
    holds: usize,
    /// The bytes that were read into it since the last [`Pipe::take_unseen`].
    unseen: usize,
}

impl Pipe {
    /// Returns an empty pipe; `None` if the thread has too many, or the process can open none.
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

    /// Moves up to `most` bytes from the socket into the pipe, which must be empty. Returns 0 at the end of the stream.
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

    /// Returns the number of bytes in it.
    pub(crate) const fn holds(&self) -> usize {
        self.holds
    }

    /// Returns the number of bytes that were read into it since the last call.
    pub(crate) fn take_unseen(&mut self) -> u64 {
        std::mem::take(&mut self.unseen) as u64
    }

    /// Moves its bytes to the socket. Returns `Ready` once it is empty.
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
        // If the user's budget is used up, a new pipe has two pages and cannot grow. Then splicing costs three times
        // what copying does.
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
