//! A client connection that speaks HTTP/2.

use std::sync::Arc;

use tokio::time::sleep;

use super::Pair;
use crate::forwarded_for::ForwardedFor;
use crate::http2::goodbye::{QUIET_TIME, draw_grace};
use crate::http2::relay::{Ending, Relay};
use crate::http2::session::Session;
use crate::linger::{last_word, linger};
use crate::observer::Watch;
use crate::recycle::RetireReason;

pub(super) async fn serve(pair: Pair, watch: Watch, told: Option<ForwardedFor>) {
    let proxy = Arc::clone(&watch.proxy);
    let session = Session::new(watch.limits, fastrand::u64(..).to_be_bytes()).forwarding(told);
    let draining = {
        let proxy = Arc::clone(&proxy);
        async move {
            proxy.drain.begun().await;
            sleep(QUIET_TIME).await;
        }
    };
    let grace = draw_grace(fastrand::u32(..));
    let mut relay = Relay::new(pair, session, watch, grace, draining);
    let ending = relay.run().await;
    let Relay { client, app, from_app, session, observer, .. } = relay;
    observer.end(session.requests_started());
    if session.was_ignored() {
        proxy.metrics.ignored.inc();
    }
    tracing::debug!(
        ending = ending.label(),
        retired = session.retired().map(RetireReason::label),
        requests = session.requests_started(),
        "an HTTP/2 connection has ended"
    );
    match ending {
        Ending::Linger => {
            app.close();
            drop(from_app);
            linger(client).await;
        }
        Ending::Refuse(offence) => {
            drop(app);
            let mut word = from_app.buffer.cleared().to_vec();
            if session.may_speak() {
                word.extend(session.last_word(offence.fault));
            }
            drop(from_app);
            last_word(client, &word).await;
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
