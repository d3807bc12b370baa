//! A client connection that speaks HTTP/2.

use std::sync::Arc;

use tokio::time::{Instant, sleep};

use super::context::Context;
use super::metrics::Metrics;
use super::{Pair, unless_asked};
use crate::http2::goodbye::{LAST_CALL, QUIET_TIME, draw_grace};
use crate::http2::relay::{Ending, Parts, Relay};
use crate::http2::session::Session;
use crate::memory::Account;
use crate::relay::forwarded_for::ForwardedFor;
use crate::transport::linger::{linger, linger_until_read, write_last};
use retirement::RetireReason;

pub(super) async fn serve(
    pair: Pair,
    context: Context,
    account: &Arc<Account>,
    told: Option<ForwardedFor>,
    metrics: &Metrics,
) {
    let session = Session::new(context.limits, fastrand::u64(..).to_be_bytes()).forwarding(told);
    let draining = {
        let drain = Arc::clone(context.drain());
        async move {
            drain.begun().await;
            sleep(QUIET_TIME).await;
            let deadline = drain.deadline().unwrap_or_else(Instant::now);
            deadline.checked_sub(LAST_CALL).unwrap_or(deadline)
        }
    };
    let grace = draw_grace(fastrand::u32(..));
    let mut relay = Relay::new(pair, session, context, grace, draining);
    let ending = loop {
        if let Some(ending) = unless_asked(account, relay.run()).await.or_else(|| relay.makes_room()) {
            break ending;
        }
        account.stays();
    };
    let Parts { client, app, session, from_app, observer } = relay.into_parts();
    observer.end(session.requests_started());
    if session.was_ignored() {
        metrics.ignored();
    }
    tracing::debug!(
        ending = ending.label(),
        retired = session.retired().map(RetireReason::label),
        requests = session.requests_started(),
        "an HTTP/2 connection has ended"
    );
    match ending {
        // The client may only have ended its own side, and still read.
        Ending::Linger | Ending::Close => {
            app.close();
            let has_been_read = session.has_been_read() || ending == Ending::Close;
            drop((session, from_app));
            if has_been_read {
                unless_asked(account, linger(client)).await;
            } else {
                unless_asked(account, linger_until_read(client, grace)).await;
            }
        }
        Ending::Refuse(offence) => {
            drop(app);
            let mut word = from_app.buffer.cleared().to_vec();
            if session.may_speak() {
                word.extend(session.last_word(offence.fault));
            }
            drop((session, from_app));
            account.lingers();
            if let Some(Some(client)) = unless_asked(account, write_last(client, &word)).await {
                unless_asked(account, linger_until_read(client, grace)).await;
            }
        }
        Ending::Reset => {
            client.reset();
            app.reset();
        }
    }
}
