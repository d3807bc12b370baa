//! A client connection that speaks HTTP/1.

use std::sync::Arc;
use std::task::{self, Poll, ready};

use super::close::{Framing, close};
use super::context::Context;
use super::{Held, Service};
use crate::http1::conversation::Conversation;
use crate::http1::relay::{Ending, Relay};
use crate::relay::forwarded_for::ForwardedFor;
use crate::transport::pair::Pair;
use crate::tunnel::TunnelKind;
use retirement::RetireReason;

/// A client connection that speaks HTTP/1, and what it holds until its end.
pub(super) struct Connection {
    relay: Relay<Context>,
    service: Arc<Service>,
    held: Held,
}

impl Connection {
    pub(super) fn new(
        pair: Pair,
        context: Context,
        told: Option<ForwardedFor>,
        held: Held,
        service: Arc<Service>,
    ) -> Self {
        let conversation = Conversation::new(context.limits, service.policy.head_limit).forwarding(told);
        Self { relay: Relay::new(pair, conversation, context), service, held }
    }

    /// Ready once the relay has ended by itself, or the connection is evicted.
    pub(super) fn poll(&mut self, cx: &mut task::Context<'_>) -> Poll<Ending> {
        loop {
            if let Poll::Ready(ending) = self.relay.poll(cx) {
                return Poll::Ready(ending);
            }
            ready!(self.held.account().poll_asked_to_leave(cx));
            if let Some(ending) = self.relay.ending_if_evicted() {
                return Poll::Ready(ending);
            }
            self.held.account().stays();
        }
    }

    /// Closes the connection as the relay has found it should be.
    pub(super) async fn finish(self, ending: Ending) {
        let Self { relay, service, held } = self;
        let Relay { client, app, from_client, from_app, conversation, observer, .. } = relay;
        // Here, and not when a tunnel that follows has ended: a mark would be wasted on it.
        let source = conversation.source();
        let port = observer.end(conversation.requests_started(), Some(source));
        let retired = conversation.retired();
        tracing::debug!(
            app_port = port.number(),
            ending = ending.label(),
            retired = retired.map(RetireReason::label),
            requests = conversation.requests_started(),
            "an HTTP/1 connection has ended"
        );
        let pair = Pair { client, app, from_client, from_app };
        let answer = match ending {
            Ending::Tunnel => {
                return service.tunnel(TunnelKind::Upgraded, source, &port, pair, None, held.account()).await;
            }
            Ending::Refuse(refusal) => refusal.response(),
            Ending::Linger | Ending::Abandon | Ending::Close | Ending::Reset => Vec::new(),
        };
        let late = close(pair, &ending, &answer, Framing::ByConnection, held.account()).await;
        if ending == Ending::Linger && late > 0 && retired.is_some() {
            service.shared.metrics.ignored();
        }
    }
}
