//! One client connection, from accept to close.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::buffer::Buffer;
use crate::dial::App;
use crate::flow::{poll_fill, reset};
use crate::http1::conversation::{Conversation, Moment};
use crate::http1::refusal::Refusal;
use crate::http1::relay::{Ending, Observer, Relay};
use crate::linger::linger;
use crate::metrics::Side;
use crate::protocol::{Protocol, detect};
use crate::proxy::Proxy;
use crate::recycle::Limits;
use crate::tunnel::{Tunnel, TunnelKind};

/// The time in which the first bytes must tell the protocol; then the connection is taken for one that is not HTTP.
const PROTOCOL_TIME: Duration = Duration::from_secs(10);
/// The time in which a client must take an answer of ours.
const REFUSAL_TIME: Duration = Duration::from_secs(5);

/// Serves a client whose app is at `app`.
pub(crate) async fn serve(client: TcpStream, app: App, proxy: Arc<Proxy>) {
    proxy.metrics.opened.inc();
    let _open = proxy.connections.open();
    let born = Instant::now();
    let app_port = match app {
        App::Fixed(address) => address.port(),
        App::OfPod { port, .. } => port,
    };
    // Dialled before a byte has come: a dead app is a reset, as it would be without us, and an app can speak first.
    let app = match proxy.dialer.dial(app).await {
        Ok(app) => app,
        Err(error) => {
            tracing::debug!(app_port, %error, "the app does not accept the connection; the client's is reset");
            proxy.metrics.app_unreachable.inc();
            return reset(client);
        }
    };
    if proxy.opaque_ports.contains(&app_port) {
        return tunnel(&proxy, TunnelKind::OpaquePort, client, app, Buffer::default(), Buffer::default()).await;
    }
    let mut opening = Opening { client, app, from_client: Buffer::default() };
    let opened = opening.run().await;
    let Opening { client, app, from_client } = opening;
    match opened {
        Opened::Http1 => {
            let limits = proxy.draw_limits(fastrand::u32(..));
            serve_http1(
                &proxy,
                Relay::new(
                    client,
                    app,
                    from_client,
                    Conversation::new(limits, proxy.head_limit),
                    Watch { proxy: &proxy, limits, born },
                ),
            )
            .await;
        }
        Opened::Tunnel(kind) => tunnel(&proxy, kind, client, app, from_client, Buffer::default()).await,
    }
}

async fn tunnel(
    proxy: &Proxy,
    kind: TunnelKind,
    client: TcpStream,
    app: TcpStream,
    from_client: Buffer,
    from_app: Buffer,
) {
    proxy.metrics.tunnel(kind);
    Tunnel::new(client, app, from_client, from_app).run().await;
}

async fn serve_http1(proxy: &Proxy, mut relay: Relay<Watch<'_>>) {
    let ending = relay.run().await;
    let Relay { client, app, from_client, from_app, conversation, .. } = relay;
    let retired = conversation.retired();
    if let Some(reason) = retired {
        proxy.metrics.retired(reason);
    }
    tracing::debug!(
        ending = ending.label(),
        retired = retired.map(crate::recycle::RetireReason::label),
        requests = conversation.requests_started(),
        "a client connection has ended"
    );
    match ending {
        Ending::Linger => {
            drop((app, from_client, from_app));
            if linger(client).await > 0 && retired.is_some() {
                proxy.metrics.ignored.inc();
            }
        }
        Ending::Refuse(refusal) => {
            count(proxy, refusal);
            // An end would tell the app that what it has is all; where it has nothing of the request, nothing is lost.
            reset(app);
            let answer = [from_app.cleared(), &refusal.response()].concat();
            drop((from_client, from_app));
            refuse(client, &answer).await;
        }
        Ending::Tunnel => tunnel(proxy, TunnelKind::Upgraded, client, app, from_client, from_app).await,
        Ending::Close => {}
        Ending::Reset => {
            reset(client);
            reset(app);
        }
    }
}

fn count(proxy: &Proxy, refusal: Refusal) {
    match refusal {
        Refusal::Client(fault) => proxy.metrics.fault(Side::Client, fault),
        Refusal::App(fault) => proxy.metrics.fault(Side::App, fault),
    }
}

async fn refuse(mut client: TcpStream, answer: &[u8]) {
    if let Ok(Ok(())) = timeout(REFUSAL_TIME, client.write_all(answer)).await {
        linger(client).await;
    }
}

/// What one connection's relay asks and tells the process.
pub(crate) struct Watch<'p> {
    proxy: &'p Proxy,
    limits: Limits,
    born: Instant,
}

impl Observer for Watch<'_> {
    fn moment(&self) -> Moment {
        // The clock is asked only where an age limit makes it matter.
        let age = if self.limits.watch_age() { self.born.elapsed() } else { Duration::ZERO };
        Moment { age, draining: self.proxy.drain.is_announcing() }
    }

    fn request_started(&self) {
        self.proxy.metrics.requests.inc();
    }
}

/// A connection whose protocol is not known yet.
struct Opening {
    client: TcpStream,
    app: TcpStream,
    from_client: Buffer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opened {
    Http1,
    Tunnel(TunnelKind),
}

impl Opening {
    async fn run(&mut self) -> Opened {
        // A client may be silent for as long as it likes; once it speaks, it should say what.
        if let Some(opened) = poll_fn(|cx| self.poll_first(cx)).await {
            return opened;
        }
        let protocol = timeout(PROTOCOL_TIME, poll_fn(|cx| self.poll(cx))).await;
        protocol.unwrap_or(Opened::Tunnel(TunnelKind::NotHttp))
    }

    /// `None` once the client has begun and left a doubt.
    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<Option<Opened>> {
        match self.poll(cx) {
            Poll::Ready(opened) => Poll::Ready(Some(opened)),
            Poll::Pending if self.from_client.is_empty() => Poll::Pending,
            Poll::Pending => Poll::Ready(None),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Opened> {
        while let Poll::Ready(read) = poll_fill(&mut self.client, &mut self.from_client, cx) {
            match (read, detect(self.from_client.unexamined())) {
                (_, Some(Protocol::Http1)) => return Poll::Ready(Opened::Http1),
                (_, Some(Protocol::Http2)) => return Poll::Ready(Opened::Tunnel(TunnelKind::Http2)),
                (_, Some(Protocol::Opaque)) | (Ok(0) | Err(_), None) => {
                    return Poll::Ready(Opened::Tunnel(TunnelKind::NotHttp));
                }
                (Ok(_), None) => {}
            }
        }
        // Readable without a byte from the client: the app speaks first, or has already left.
        let _readable = ready!(self.app.poll_read_ready(cx));
        Poll::Ready(Opened::Tunnel(TunnelKind::AppFirst))
    }
}
