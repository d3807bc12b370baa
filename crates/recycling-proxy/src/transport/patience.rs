//! A timer that exists only while there is something to wait for.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// Waits with a bound for one thing at a time; `A` says for what.
#[derive(Debug)]
pub(crate) struct Patience<A> {
    awaited: Option<A>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<A> Default for Patience<A> {
    fn default() -> Self {
        Self { awaited: None, timer: None }
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
        if awaited != self.awaited {
            self.awaited = awaited;
            self.timer = awaited.map(|awaited| Box::pin(sleep(bound(awaited))));
        }
        match (&mut self.timer, self.awaited) {
            (Some(timer), Some(awaited)) => timer.as_mut().poll(cx).map(|()| awaited),
            (_, _) => Poll::Pending,
        }
    }
}
