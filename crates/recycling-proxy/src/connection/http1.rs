//! A client connection that speaks HTTP/1.

use std::pin::Pin;
use std::task::{self, Poll};

use super::close::{Framing, close};
use super::context::Context;
use super::eviction::Evictable;
use super::tunnel;
use crate::http1::conversation::Conversation;
use crate::http1::relay::{Ending, Relay};
use crate::memory::Account;
use crate::relay::forwarded_for::ForwardedFor;
use crate::transport::pair::Pair;
use crate::tunnel::TunnelKind;
use retirement::{Limits, RetireReason};

/// A client connection that speaks HTTP/1.
pub(super) struct Connection(Relay<Context>);

/// The next stage of a connection after its exchanges.
pub(super) enum Sequel {
    Tunnel(Box<tunnel::Connection>),
    Close(Pin<Box<dyn Future<Output = ()> + Send>>),
}

impl Connection {
    pub(super) fn new(pair: Pair, context: Context, limits: Limits, forwarded_for: Option<ForwardedFor>) -> Self {
        let conversation = Conversation::new(limits, context.service().policy.head_limit).forwarding(forwarded_for);
        Self(Relay::new(pair, conversation, context))
    }

    /// Returns the next stage of the connection: it is closed in the way that the relay has decided, or is a tunnel.
    pub(super) fn finish(self, ending: Ending) -> Sequel {
        let Relay { client, app, from_client, from_app, conversation, observer, .. } = self.0;
        // Before a tunnel begins: it cannot be retired, so balancing must not mark it.
        let source = conversation.source();
        let (service, held) = observer.end(conversation.requests_started(), Some(source));
        let retired = conversation.retired();
        tracing::debug!(
            app_port = held.port.metrics().number(),
            ending = ending.label(),
            retired = retired.map(RetireReason::label),
            requests = conversation.requests_started(),
            "an HTTP/1 connection has ended"
        );
        let pair = Pair { client, app, from_client, from_app };
        let response = match ending {
            Ending::Tunnel => {
                let kind = (TunnelKind::Upgraded, source);
                return Sequel::Tunnel(Box::new(tunnel::Connection::new(kind, pair, None, service, held)));
            }
            Ending::Refuse(refusal) => refusal.response(),
            Ending::Linger | Ending::Abandon | Ending::Close | Ending::Reset => Vec::new(),
        };
        drop(conversation);
        Sequel::Close(Box::pin(async move {
            let late = close(pair, &ending, &response, Framing::ByConnection, held.account()).await;
            if ending == Ending::Linger && late > 0 && retired.is_some() {
                service.shared.metrics.ignored();
            }
        }))
    }
}

impl Evictable for Connection {
    type Ending = Ending;

    fn account(&self) -> &Account {
        self.0.observer.account()
    }

    fn poll_served(&mut self, cx: &mut task::Context<'_>) -> Poll<Ending> {
        self.0.poll(cx)
    }

    fn ending_if_evicted(&self) -> Option<Ending> {
        self.0.ending_if_evicted()
    }
}
