//! A deadline whose timer exists only while something is awaited.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// A deadline for one thing at a time; `A` identifies it.
///
/// The timer is boxed, because most connections have none.
#[derive(Debug)]
pub(crate) struct Deadline<A>(Option<Box<Wait<A>>>);

#[derive(Debug)]
struct Wait<A> {
    awaited: A,
    timer: Pin<Box<Sleep>>,
}

impl<A> Default for Deadline<A> {
    fn default() -> Self {
        Self(None)
    }
}

impl<A: Copy + PartialEq> Deadline<A> {
    /// Returns `Ready` with what was awaited once it has been awaited for its bound. The deadline restarts if something
    /// else is awaited.
    pub(crate) fn poll(
        &mut self,
        awaited: Option<A>,
        bound: impl FnOnce(A) -> Duration,
        cx: &mut Context<'_>,
    ) -> Poll<A> {
        if awaited != self.0.as_ref().map(|wait| wait.awaited) {
            self.0 = awaited.map(|awaited| Box::new(Wait { awaited, timer: Box::pin(sleep(bound(awaited))) }));
        }
        match &mut self.0 {
            Some(wait) => wait.timer.as_mut().poll(cx).map(|()| wait.awaited),
            None => Poll::Pending,
        }
    }
}
