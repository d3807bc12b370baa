//! A client connection that speaks HTTP/1.

use std::sync::Arc;

use super::close::{Framing, close};
use super::context::Context;
use super::{Service, unless_asked};
use crate::http1::conversation::Conversation;
use crate::http1::relay::{Ending, Relay};
use crate::memory::Account;
use crate::relay::forwarded_for::ForwardedFor;
use crate::transport::pair::Pair;
use crate::tunnel::TunnelKind;
use retirement::RetireReason;

pub(super) fn relay(pair: Pair, head_limit: usize, context: Context, told: Option<ForwardedFor>) -> Relay<Context> {
    let conversation = Conversation::new(context.limits, head_limit).forwarding(told);
    Relay::new(pair, conversation, context)
}

/// Relays until the connection ends by itself, or is evicted.
pub(super) async fn run(relay: &mut Relay<Context>, account: &Arc<Account>) -> Ending {
    loop {
        if let Some(ending) = unless_asked(account, relay.run()).await.or_else(|| relay.ending_if_evicted()) {
            return ending;
        }
        account.stays();
    }
}

/// Closes the connection as the relay has found it should be.
pub(super) async fn finish(relay: Relay<Context>, ending: Ending, account: &Arc<Account>, service: &Service) {
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
        Ending::Tunnel => return service.tunnel(TunnelKind::Upgraded, source, &port, pair, None, account).await,
        Ending::Refuse(refusal) => refusal.response(),
        Ending::Linger | Ending::Abandon | Ending::Close | Ending::Reset => Vec::new(),
    };
    let late = close(pair, &ending, &answer, Framing::ByConnection, account).await;
    if ending == Ending::Linger && late > 0 && retired.is_some() {
        service.shared.metrics.ignored();
    }
}
