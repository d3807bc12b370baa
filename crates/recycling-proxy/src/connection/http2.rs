//! A client connection that speaks HTTP/2.

use std::sync::Arc;

use tokio::time::{Instant, sleep};

use super::close::{Framing, close};
use super::context::Context;
use super::{Pair, unless_asked};
use crate::http2::graceful_shutdown::{LAST_CALL, QUIET_TIME, draw_grace};
use crate::http2::relay::{Ending, Parts, Relay};
use crate::http2::session::Session;
use crate::relay::forwarded_for::ForwardedFor;
use retirement::{Limits, RetireReason};

pub(super) async fn serve(pair: Pair, context: Context, limits: Limits, told: Option<ForwardedFor>) {
    let account = Arc::clone(context.account());
    let session = Session::new(limits, fastrand::u64(..).to_be_bytes()).forwarding(told);
    let draining = {
        let drain = Arc::clone(&context.service().shared.drain);
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
        if let Some(ending) = unless_asked(&account, relay.run()).await.or_else(|| relay.ending_if_evicted()) {
            break ending;
        }
        account.stays();
    };
    let Parts { pair, session, observer } = relay.into_parts();
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
    let has_left = ending == Ending::Close;
    let framing = Framing::ByFrames { grace: (!has_left && !session.has_been_read()).then_some(grace) };
    let answer = match ending {
        Ending::Refuse(error) if session.may_speak() => session.final_goaway(error.fault).to_vec(),
        Ending::Refuse(_) | Ending::Linger | Ending::Abandon | Ending::Tunnel | Ending::Close | Ending::Reset => {
            Vec::new()
        }
    };
    drop(session);
    // The client may only have ended its own side, and still read.
    let ending = if has_left { Ending::Linger } else { ending };
    close(pair, &ending, &answer, framing, &account).await;
}
