//! A client connection whose bytes are not looked at.

use crate::pair::Pair;
use crate::proxy::Proxy;
use crate::sentry::Sentry;
use crate::tunnel::{Tunnel, TunnelKind};

pub(super) async fn serve(proxy: &Proxy, kind: TunnelKind, pair: Pair, sentry: Option<Sentry>) {
    proxy.metrics.tunnel(kind);
    let (age, answered) = (proxy.draw_tunnel_age(fastrand::u32(..)), || proxy.drain.app_answered());
    let end = Tunnel::new(pair, sentry).run(age, answered).await;
    tracing::debug!(kind = kind.label(), end = end.label(), "a tunnel has ended");
    proxy.metrics.tunnel_ended(end);
}
