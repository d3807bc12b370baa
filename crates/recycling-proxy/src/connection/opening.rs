//! The first bytes of a connection.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::timeout;

use crate::pair::Pair;
use crate::protocol::{Protocol, detect, may_begin_http2};
use crate::tunnel::TunnelKind;

/// The time in which the first bytes must tell the protocol; then the connection is taken for one that is not HTTP.
const PROTOCOL_TIME: Duration = Duration::from_secs(3);

/// The time in which the client of an HTTP/2 server must begin: it need not wait for the server's SETTINGS (RFC 9113
/// §3.4), and one that does gets them after this.
const PREFACE_TIME: Duration = Duration::from_secs(1);

/// A connection whose protocol is not known yet.
pub(super) struct Opening(Pair);

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opened {
    Http1,
    Http2,
    Tunnel(TunnelKind),
}

impl Opening {
    pub(super) fn new(pair: Pair) -> Self {
        Self(pair)
    }

    pub(super) fn into_pair(self) -> Pair {
        self.0
    }

    pub(super) async fn run(&mut self) -> Opened {
        // Both may be silent for as long as they like; once one speaks, the client should say what.
        if let Some(opened) = poll_fn(|cx| self.poll_first(cx)).await {
            return opened;
        }
        let bound = if self.0.from_app.is_empty() { PROTOCOL_TIME } else { PREFACE_TIME };
        let opened = timeout(bound, poll_fn(|cx| self.poll(cx))).await;
        opened.unwrap_or_else(|_| self.without_a_word())
    }

    fn without_a_word(&self) -> Opened {
        let Pair { from_client, from_app, .. } = &self.0;
        if from_client.is_empty() && !from_app.is_empty() { Opened::Http2 } else { Opened::Tunnel(TunnelKind::NotHttp) }
    }

    /// `None` once somebody has begun and left a doubt.
    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<Option<Opened>> {
        match self.poll(cx) {
            Poll::Ready(opened) => Poll::Ready(Some(opened)),
            Poll::Pending if self.0.from_client.is_empty() && self.0.from_app.is_empty() => Poll::Pending,
            Poll::Pending => Poll::Ready(None),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Opened> {
        let Pair { client, app, from_client, from_app } = &mut self.0;
        from_client.begin_poll();
        from_app.begin_poll();
        // A connection that breaks here has ended: what it comes to is the relay's to say.
        while from_client.fill(client, app, 0, cx).unwrap_or(true) {
            let ended = from_client.source_ended();
            match detect(from_client.buffer.unexamined()) {
                Some(Protocol::Http1) if from_app.is_empty() => return Poll::Ready(Opened::Http1),
                Some(Protocol::Http1) => return Poll::Ready(Opened::Tunnel(TunnelKind::AppFirst)),
                Some(Protocol::Http2) => return Poll::Ready(Opened::Http2),
                Some(Protocol::Tls) => return Poll::Ready(Opened::Tunnel(TunnelKind::Tls)),
                Some(Protocol::Opaque) => return Poll::Ready(Opened::Tunnel(TunnelKind::NotHttp)),
                None if ended && from_client.is_empty() => return Poll::Ready(Opened::Tunnel(TunnelKind::Silent)),
                None if ended => return Poll::Ready(Opened::Tunnel(TunnelKind::NotHttp)),
                None => {}
            }
        }
        while from_app.fill(app, client, 0, cx).unwrap_or(true) {
            // An HTTP/2 server says its SETTINGS at once, and its client's preface may come a little later.
            if from_app.source_ended() || !may_begin_http2(from_app.buffer.unexamined()) {
                return Poll::Ready(Opened::Tunnel(TunnelKind::AppFirst));
            }
        }
        Poll::Pending
    }
}
