//! One client connection, from accept to close.

mod http1;
mod http2;
mod opening;

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::time::Instant;

use self::opening::{Opened, Opening};
use crate::buffer::Buffer;
use crate::dial::App;
use crate::flow::reset;
use crate::observer::Watch;
use crate::proxy::Proxy;
use crate::tunnel::{Tunnel, TunnelKind};

/// Both sockets of a connection, and what was read from them.
pub(crate) struct Pair {
    pub(crate) client: TcpStream,
    pub(crate) app: TcpStream,
    pub(crate) from_client: Buffer,
    pub(crate) from_app: Buffer,
}

/// Serves a client whose app is at `app`.
pub(crate) async fn serve(client: TcpStream, app: App, proxy: Arc<Proxy>) {
    proxy.metrics.opened.inc();
    let _open = proxy.connections.open();
    let born = Instant::now();
    let app_port = app.port();
    // Dialled before a byte has come: a dead app is a reset, as it would be without us, and an app can speak first.
    let pair = match proxy.dialer.dial(app).await {
        Ok(app) => Pair { client, app, from_client: Buffer::default(), from_app: Buffer::default() },
        Err(error) => {
            tracing::debug!(app_port, %error, "the app does not accept the connection; the client's is reset");
            proxy.metrics.app_unreachable.inc();
            return reset(client);
        }
    };
    if proxy.opaque_ports.contains(&app_port) {
        return tunnel(&proxy, TunnelKind::OpaquePort, pair).await;
    }
    let mut opening = Opening::new(pair);
    let opened = opening.run().await;
    let pair = opening.into_pair();
    match opened {
        Opened::Http1 => http1::serve(pair, Watch::new(&proxy, born)).await,
        Opened::Http2 => http2::serve(pair, Watch::new(&proxy, born)).await,
        Opened::Tunnel(kind) => tunnel(&proxy, kind, pair).await,
    }
}

async fn tunnel(proxy: &Proxy, kind: TunnelKind, pair: Pair) {
    proxy.metrics.tunnel(kind);
    let Pair { client, app, from_client, from_app } = pair;
    Tunnel::new(client, app, from_client, from_app).run().await;
}
