//! A timer that exists only while there is something to wait for.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// Waits with a bound for one thing at a time; `A` says for what.
///
/// A box, since most connections wait for nothing with a bound.
#[derive(Debug)]
pub(crate) struct Patience<A>(Option<Box<Wait<A>>>);

#[derive(Debug)]
struct Wait<A> {
    awaited: A,
    timer: Pin<Box<Sleep>>,
}

impl<A> Default for Patience<A> {
    fn default() -> Self {
        Self(None)
    }
}

impl<A: Copy + PartialEq> Patience<A> {
    /// Ready with what was awaited once it has been so for as long as its bound.
    ///
    /// The time begins anew with another thing to wait for.
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
