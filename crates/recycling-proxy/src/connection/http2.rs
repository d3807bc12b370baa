//! A client connection that speaks HTTP/2.

use std::sync::Arc;
use std::task::{self, Poll};

use tokio::time::{Instant, sleep};

use super::close::{Framing, close};
use super::context::Context;
use super::eviction::Evictable;
use crate::http2::graceful_shutdown::{FORCED_GOAWAY_TIME, IDLE_GOAWAY_DELAY, draw_grace};
use crate::http2::relay::{Ending, Parts, Relay};
use crate::http2::session::Session;
use crate::memory::Account;
use crate::relay::forwarded_for::ForwardedFor;
use crate::retire::drain::Drain;
use crate::transport::pair::Pair;
use retirement::{Limits, RetireReason};

/// A client connection that speaks HTTP/2.
pub(super) struct Connection(Relay<Context>);

impl Connection {
    pub(super) fn new(pair: Pair, context: Context, limits: Limits, forwarded_for: Option<ForwardedFor>) -> Self {
        let session = Session::new(limits, fastrand::u64(..).to_be_bytes()).forwarding(forwarded_for);
        let draining = draining(Arc::clone(&context.service().shared.drain));
        Self(Relay::new(pair, session, context, draw_grace(fastrand::u32(..)), draining))
    }

    /// Closes the connection in the way that the relay has decided.
    pub(super) async fn finish(self, ending: Ending) {
        let Parts { pair, session, observer, grace } = self.0.into_parts();
        let (service, held) = observer.end(session.requests_started(), None);
        if session.was_ignored() {
            service.shared.metrics.ignored();
        }
        tracing::debug!(
            app_port = held.port.metrics().number(),
            ending = ending.label(),
            retired = session.retired().map(RetireReason::label),
            requests = session.requests_started(),
            "an HTTP/2 connection has ended"
        );
        let client_has_left = ending == Ending::Close;
        let framing = Framing::ByFrames { grace: (!client_has_left && !session.has_been_read()).then_some(grace) };
        let response = match ending {
            Ending::Refuse(error) if session.may_insert_frame() => session.final_goaway(error.fault).to_vec(),
            Ending::Refuse(_) | Ending::Linger | Ending::Abandon | Ending::Tunnel | Ending::Close | Ending::Reset => {
                Vec::new()
            }
        };
        drop(session);
        // The client may have closed only its own direction, and still read.
        let ending = if client_has_left { Ending::Linger } else { ending };
        close(pair, &ending, &response, framing, held.account()).await;
    }
}

impl Evictable for Connection {
    type Ending = Ending;

    fn account(&self) -> &Account {
        self.0.observer().account()
    }

    fn poll_served(&mut self, cx: &mut task::Context<'_>) -> Poll<Ending> {
        self.0.poll(cx)
    }

    fn ending_if_evicted(&self) -> Option<Ending> {
        self.0.ending_if_evicted()
    }
}

/// Ready when a drain may send GOAWAY, with the time at which it must.
async fn draining(drain: Arc<Drain>) -> Instant {
    drain.begun().await;
    // Boxed, since the timer is larger than the rest of this future.
    Box::pin(sleep(IDLE_GOAWAY_DELAY)).await;
    let deadline = drain.deadline().unwrap_or_else(Instant::now);
    deadline.checked_sub(FORCED_GOAWAY_TIME).unwrap_or(deadline)
}
