//! The eviction of a connection while it is served.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::memory::Account;

/// A connection that is served, and may be evicted only if that destroys nothing.
pub(super) trait Evictable {
    type Ending;

    /// Returns the memory account of the connection.
    fn account(&self) -> &Account;

    /// Ready once the connection has ended by itself.
    fn poll_served(&mut self, cx: &mut Context<'_>) -> Poll<Self::Ending>;

    /// Returns how the connection ends if it is evicted; `None` if it cannot be evicted now.
    fn ending_if_evicted(&self) -> Option<Self::Ending>;

    /// Ready once the connection has ended by itself or is evicted.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Self::Ending> {
        loop {
            if let Poll::Ready(ending) = self.poll_served(cx) {
                return Poll::Ready(ending);
            }
            ready!(self.account().poll_eviction_requested(cx));
            if let Some(ending) = self.ending_if_evicted() {
                return Poll::Ready(ending);
            }
            self.account().decline_eviction();
        }
    }
}

/// Serves a connection that can be evicted at any time. Returns `None` if it is.
///
/// No `async fn`: that would hold its arguments twice.
pub(super) fn unless_evicted<T>(
    account: &Account,
    mut serving: impl Future<Output = T> + Unpin,
) -> impl Future<Output = Option<T>> {
    poll_fn(move |cx| match Pin::new(&mut serving).poll(cx) {
        Poll::Ready(served) => Poll::Ready(Some(served)),
        Poll::Pending => account.poll_eviction_requested(cx).map(|()| None),
    })
}
