//! Detects the protocol of a connection by its first bytes.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::timeout;

use crate::detection::first_line::Reading;
use crate::detection::protocol::{HTTP2_PREFACE, Protocol, Verdict, detect, may_begin_http2};
use crate::detection::request_guard::RequestGuard;
use crate::transport::pair::Pair;
use crate::tunnel::TunnelKind;

/// The time in which bytes that may begin a request line must continue as one. Afterwards the connection becomes a
/// tunnel or, with `forwarded-for`, is treated as a slow request.
const PROTOCOL_TIME: Duration = Duration::from_secs(3);

/// The time in which a client must send its preface after the app has sent SETTINGS. Clients need not wait for SETTINGS
/// (RFC 9113 §3.4); a client that does gets them after this time.
const PREFACE_TIME: Duration = Duration::from_secs(1);

/// The length of `PRI * HTTP/2.0`, which only the preface of HTTP/2 begins with.
const OF_HTTP2_ALONE: usize = 14;

/// A connection whose protocol is not known yet.
pub(super) struct Opening {
    pair: Pair,
    /// Whether no request may be tunnelled (`forwarded-for`).
    is_strict: bool,
}

/// The result of the detection.
#[derive(Debug)]
pub(super) enum Opened {
    Http1,
    Http2,
    /// A tunnel. It has a guard if a request could still begin in it and must not be tunnelled.
    Tunnel(TunnelKind, Option<RequestGuard>),
}

impl Opening {
    /// Returns the state before the first byte. If `is_strict`, no request may be tunnelled: bytes that some server
    /// could parse as a request are passed to the HTTP/1 relay, which refuses them if they are none.
    pub(super) const fn new(pair: Pair, is_strict: bool) -> Self {
        Self { pair, is_strict }
    }

    pub(super) fn into_pair(self) -> Pair {
        self.pair
    }

    pub(super) async fn run(&mut self) -> Opened {
        // Both sides may send nothing for any time. Once one has sent bytes, the client's bytes must show its protocol.
        if let Some(opened) = poll_fn(|cx| self.poll_first(cx)).await {
            return opened;
        }
        let bound = if self.pair.from_app.is_empty() { PROTOCOL_TIME } else { PREFACE_TIME };
        let opened = timeout(bound, poll_fn(|cx| self.poll(cx))).await;
        opened.unwrap_or_else(|_| self.out_of_time())
    }

    fn out_of_time(&self) -> Opened {
        let said = self.pair.from_client.buffer.unexamined();
        let of_http2 = HTTP2_PREFACE.starts_with(said);
        if of_http2 && (said.len() >= OF_HTTP2_ALONE || !self.pair.from_app.is_empty()) {
            Opened::Http2
        } else if self.is_strict {
            Opened::Http1
        } else {
            Opened::Tunnel(TunnelKind::NotHttp, None)
        }
    }

    /// Waits for the first bytes of either side. Returns `None` if they do not determine the protocol.
    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<Option<Opened>> {
        match self.poll(cx) {
            Poll::Ready(opened) => Poll::Ready(Some(opened)),
            Poll::Pending if self.pair.from_client.is_empty() && self.pair.from_app.is_empty() => Poll::Pending,
            Poll::Pending => Poll::Ready(None),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Opened> {
        self.pair.from_client.begin_poll();
        self.pair.from_app.begin_poll();
        // If the connection fails here, the relay handles the error.
        while self.read_client(cx) {
            if let Some(opened) = self.decide() {
                return Poll::Ready(opened);
            }
        }
        while self.read_app(cx) {
            let Pair { from_app, .. } = &self.pair;
            // An HTTP/2 server sends SETTINGS at once, and the client's preface may arrive after them.
            if from_app.source_ended() || !may_begin_http2(from_app.buffer.unexamined()) {
                return Poll::Ready(self.tunnel(TunnelKind::AppFirst));
            }
        }
        Poll::Pending
    }

    fn read_client(&mut self, cx: &mut Context<'_>) -> bool {
        let Pair { client, app, from_client, .. } = &mut self.pair;
        // The detection may need more bytes than a small buffer holds.
        if from_client.buffer.is_small() && from_client.buffer.is_full() {
            from_client.buffer.grow();
        }
        from_client.fill(client, app, 0, cx).unwrap_or(true)
    }

    fn read_app(&mut self, cx: &mut Context<'_>) -> bool {
        let Pair { client, app, from_app, .. } = &mut self.pair;
        from_app.fill(app, client, 0, cx).unwrap_or(true)
    }

    /// Returns the protocol of the client's bytes; `None` while it is undecided.
    fn decide(&self) -> Option<Opened> {
        let Pair { from_client, from_app, .. } = &self.pair;
        match detect(from_client.buffer.unexamined()) {
            Verdict::Certain(Protocol::Http1) if from_app.is_empty() => Some(Opened::Http1),
            Verdict::Certain(Protocol::Http1) => Some(self.tunnel(TunnelKind::AppFirst)),
            Verdict::Certain(Protocol::Http2) => Some(Opened::Http2),
            Verdict::Certain(Protocol::Tls) => Some(self.tunnel(TunnelKind::Tls)),
            Verdict::Certain(Protocol::Opaque) | Verdict::Unlikely => Some(self.tunnel(TunnelKind::NotHttp)),
            Verdict::Likely if !from_client.source_ended() => None,
            Verdict::Likely if from_client.is_empty() => Some(self.tunnel(TunnelKind::Silent)),
            Verdict::Likely => Some(self.tunnel(TunnelKind::NotHttp)),
        }
    }

    fn tunnel(&self, kind: TunnelKind) -> Opened {
        if !self.is_strict {
            return Opened::Tunnel(kind, None);
        }
        let Pair { from_client, from_app, .. } = &self.pair;
        let mut guard = RequestGuard::default();
        guard.examine_app(from_app.buffer.unexamined());
        match guard.examine_client(from_client.buffer.unexamined(), from_client.source_ended()) {
            Reading::Request => Opened::Http1,
            Reading::Open => Opened::Tunnel(kind, Some(guard)),
            Reading::Harmless => Opened::Tunnel(kind, None),
        }
    }
}
