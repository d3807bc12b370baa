//! A connection whose peer has all its words ready.

use std::io::{self, Read as _};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use hyper::rt::{Read, ReadBufCursor, Write};

/// Polls that no conversation on such a connection needs.
const MOST_POLLS: usize = 10_000;

/// What the peer says; what is said to it goes nowhere.
pub(super) struct Said<'b> {
    rest: &'b [u8],
    waits_for_a_word: bool,
}

impl<'b> Said<'b> {
    /// As clients speak.
    pub(super) const fn at_once(bytes: &'b [u8]) -> Self {
        Self { rest: bytes, waits_for_a_word: false }
    }

    /// As apps speak: only once they are spoken to.
    pub(super) const fn when_asked(bytes: &'b [u8]) -> Self {
        Self { rest: bytes, waits_for_a_word: true }
    }
}

impl Read for Said<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, mut room: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        if self.waits_for_a_word {
            return Poll::Pending;
        }
        // The cursor's own slice may not be initialised.
        let mut piece = [0; 1024];
        let longest = piece.len().min(room.remaining());
        let count = self.rest.read(&mut piece[..longest])?;
        room.put_slice(&piece[..count]);
        Poll::Ready(Ok(()))
    }
}

impl Write for Said<'_> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.waits_for_a_word = false;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Runs a future that waits for nothing outside of itself; `None` where it waits all the same.
pub(super) fn run<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    (0..MOST_POLLS).find_map(|_| match future.as_mut().poll(&mut cx) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    })
}
