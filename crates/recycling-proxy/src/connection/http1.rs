//! A client connection that speaks HTTP/1.

use std::sync::Arc;

use super::context::Context;
use super::{Service, unless_asked};
use crate::http1::conversation::Conversation;
use crate::http1::relay::{Ending, Relay};
use crate::memory::Account;
use crate::relay::forwarded_for::ForwardedFor;
use crate::transport::linger::{last_word, linger};
use crate::transport::pair::Pair;
use crate::tunnel::TunnelKind;
use retirement::RetireReason;

pub(super) fn relay(pair: Pair, head_limit: usize, context: Context, told: Option<ForwardedFor>) -> Relay<Context> {
    let conversation = Conversation::new(context.limits, head_limit).forwarding(told);
    Relay::new(pair, conversation, context)
}

/// Relays until the connection ends by itself, or makes room for others.
pub(super) async fn run(relay: &mut Relay<Context>, account: &Arc<Account>) -> Ending {
    loop {
        if let Some(ending) = unless_asked(account, relay.run()).await.or_else(|| relay.makes_room()) {
            return ending;
        }
        account.stays();
    }
}

/// Closes the connection as the relay has found it should be.
pub(super) async fn finish(relay: Relay<Context>, ending: Ending, account: &Arc<Account>, service: &Service) {
    let Relay { client, app, from_client, from_app, conversation, observer, .. } = relay;
    // Here, and not when a tunnel that follows has ended: a mark would be wasted on it.
    observer.end(conversation.requests_started());
    let retired = conversation.retired();
    tracing::debug!(
        ending = ending.label(),
        retired = retired.map(RetireReason::label),
        requests = conversation.requests_started(),
        "an HTTP/1 connection has ended"
    );
    match ending {
        Ending::Linger => {
            app.close();
            drop((from_client, from_app));
            if unless_asked(account, linger(client)).await.unwrap_or_default() > 0 && retired.is_some() {
                service.shared.metrics.ignored();
            }
        }
        Ending::Abandon => {
            app.reset();
            drop((from_client, from_app));
            unless_asked(account, linger(client)).await;
        }
        Ending::Refuse(refusal) => {
            // A FIN would tell the app that what it has is all; where it has nothing of the request, nothing is lost.
            app.reset();
            let answer = [from_app.buffer.cleared(), &refusal.response()].concat();
            drop((from_client, from_app));
            account.lingers();
            unless_asked(account, last_word(client, &answer)).await;
        }
        Ending::Tunnel => {
            let pair = Pair { client, app, from_client, from_app };
            service.tunnel(TunnelKind::Upgraded, pair, None, account).await;
        }
        Ending::Close => {
            client.close();
            app.close();
        }
        Ending::Reset => {
            client.reset();
            app.reset();
        }
    }
}
