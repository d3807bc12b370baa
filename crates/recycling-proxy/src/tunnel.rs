//! The tunnel: bytes both ways, which are not parsed; with `forwarded-for`, a guard looks for requests in them. The FIN
//! of each side is forwarded.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use labels::labels;
use prometheus_client::registry::Registry;
use tokio::time::{Sleep, sleep};

use crate::detection::first_line::Reading;
use crate::detection::request_guard::RequestGuard;
use crate::metrics::{Counters, Value};
use crate::relay::broken::BrokenBy;
use crate::relay::side::Side;
use crate::relay::source::Source;
use crate::transport::background::Background;
use crate::transport::flow::{ALL_UNSEEN, Flow};
use crate::transport::linger::linger;
use crate::transport::pair::Pair;
use crate::transport::wire::Wire;

labels!(
    /// Why the bytes of a connection are not parsed.
    pub(crate) TunnelKind {
        /// The port is one of the opaque ports.
        OpaquePort = "opaque_port",
        /// The client speaks TLS, and there is no certificate to terminate it with.
        Tls = "tls",
        /// The client speaks neither HTTP/1 nor HTTP/2.
        NotHttp = "not_http",
        /// The client closed the connection without sending a byte.
        Silent = "silent",
        /// The app sent bytes first.
        AppFirst = "app_first",
        /// The app switched protocols (101), or answered CONNECT with 2xx.
        Upgraded = "upgraded",
    }
);

labels!(
    /// How a tunnel has ended.
    pub(crate) TunnelEnd {
        /// Both sides have closed the connection.
        Done = "done",
        /// One side reset the connection, and the proxy reset the other.
        Reset = "reset",
        /// It reached max-tunnel-age.
        MaxTunnelAge = "max_tunnel_age",
        /// Bytes of another protocol continued as an HTTP request, while forwarded-for is on.
        Refused = "refused",
        /// It was evicted to free memory or a slot. The app had sent nothing.
        Evicted = "evicted",
    }
);

/// The metrics of tunnels.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    tunnels: Counters<3>,
    ended: Counters<2>,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let help = "Client connections that became tunnels, by kind";
        let tunnels = Counters::register(registry, "tunnels", help, ["kind", "source", "port"]);
        let ended = Counters::register(registry, "tunnels_ended", "Tunnels closed, by reason", ["reason", "port"]);
        Self { tunnels, ended }
    }

    /// Creates the series of a port, at zero.
    pub(crate) fn begin(&self, port: &Value) {
        for kind in TunnelKind::ALL {
            let _ = self.tunnels.of([kind.label().into(), Source::Client.label().into(), port.clone()]);
        }
        for end in TunnelEnd::ALL {
            let _ = self.ended.of([end.label().into(), port.clone()]);
        }
    }

    /// Counts a connection that became a tunnel.
    pub(crate) fn opened(&self, kind: TunnelKind, source: Source, port: &Value) {
        self.tunnels.inc([kind.label().into(), source.label().into(), port.clone()]);
    }

    /// Counts a tunnel that has ended.
    pub(crate) fn ended(&self, end: TunnelEnd, port: &Value) {
        self.ended.inc([end.label().into(), port.clone()]);
    }
}

/// How often both directions are moved in one turn: at most 768 KiB each.
const ROUNDS_PER_TURN: usize = 3;

/// The connections of a tunnel, with the bytes in flight between them.
#[derive(Debug)]
pub(crate) struct Tunnel {
    pair: Pair,
    /// Present while a request could still begin that must not be tunnelled.
    guard: Option<RequestGuard>,
    background: Background,
    /// The timer of the maximum age; boxed, because most tunnels have none.
    age: Option<Pin<Box<Sleep>>>,
}

/// How a tunnel ends.
#[derive(Debug)]
pub(crate) enum Ending {
    /// Both sides have closed the connection.
    Done,
    /// The connection of this side has failed.
    Reset(Side),
    /// The client has sent a request that must not be tunnelled.
    Refused,
    /// It has reached its maximum age.
    Aged,
}

impl Tunnel {
    /// Returns a tunnel that forwards the bytes read so far. The guard has examined them.
    pub(crate) fn new(mut pair: Pair, guard: Option<RequestGuard>, max_age: Option<Duration>) -> Self {
        pair.from_client.buffer.clear_all();
        pair.from_app.buffer.clear_all();
        Self { pair, guard, background: Background::default(), age: max_age.map(|age| Box::pin(sleep(age))) }
    }

    /// Ready once both sides have ended, one has failed, or the tunnel has reached its maximum age. Calls `answered`
    /// whenever the app has sent bytes.
    pub(crate) fn poll(&mut self, answered: impl Fn(), cx: &mut Context<'_>) -> Poll<Ending> {
        if let Poll::Ready(moved) = self.advance(answered, cx) {
            return Poll::Ready(moved.err().unwrap_or(Ending::Done));
        }
        match &mut self.age {
            Some(age) => age.as_mut().poll(cx).map(|()| Ending::Aged),
            None => Poll::Pending,
        }
    }

    /// Closes both connections. A failure of one resets the other. Returns how the tunnel ended, and the side that broke it
    /// off.
    pub(crate) async fn end(self, ending: Ending) -> (TunnelEnd, Option<BrokenBy>) {
        let ended = match ending {
            Ending::Done => return (TunnelEnd::Done, None),
            Ending::Aged => {
                self.close().await;
                return (TunnelEnd::MaxTunnelAge, Some(BrokenBy::Proxy));
            }
            Ending::Reset(side) => (TunnelEnd::Reset, Some(side.into())),
            Ending::Refused => (TunnelEnd::Refused, Some(BrokenBy::Client)),
        };
        self.pair.client.reset();
        self.pair.app.reset();
        ended
    }

    /// Returns whether the app had sent bytes before the tunnel began.
    pub(crate) fn has_answer(&self) -> bool {
        !self.pair.from_app.is_empty()
    }

    /// Closes both connections: with a FIN if the peer was sent everything, otherwise with a reset.
    async fn close(self) {
        let Pair { client, app, from_client, from_app } = self.pair;
        tokio::join!(close(client, &from_app), close(app, &from_client));
    }

    fn advance(&mut self, answered: impl Fn(), cx: &mut Context<'_>) -> Poll<Result<(), Ending>> {
        ready!(self.background.poll_turn(cx));
        self.pair.from_client.begin_poll();
        self.pair.from_app.begin_poll();
        for _ in 0..ROUNDS_PER_TURN {
            let moved_to_app = self.client_to_app(cx)?;
            let moved_to_client = self.app_to_client(cx)?;
            if moved_to_client && !self.pair.from_app.source_ended() {
                answered();
            }
            if self.pair.from_client.has_passed_end() && self.pair.from_app.has_passed_end() {
                return Poll::Ready(Ok(()));
            }
            if !moved_to_app && !moved_to_client {
                return Poll::Pending;
            }
        }
        self.background.yield_turn(cx);
        Poll::Pending
    }

    fn client_to_app(&mut self, cx: &mut Context<'_>) -> Result<bool, Ending> {
        let Pair { client, app, from_client, .. } = &mut self.pair;
        let read = from_client.fill(client, app, unseen(self.guard), cx).map_err(|_| Ending::Reset(Side::Client))?;
        if let Some(guard) = &mut self.guard {
            match guard.examine_client(from_client.buffer.unexamined(), from_client.source_ended()) {
                Reading::Open => {}
                Reading::Harmless => self.guard = None,
                Reading::Request => return Err(Ending::Refused),
            }
        }
        Ok(read | pass_on(from_client, app, cx).map_err(|_| Ending::Reset(Side::App))?)
    }

    fn app_to_client(&mut self, cx: &mut Context<'_>) -> Result<bool, Ending> {
        let Pair { client, app, from_app, .. } = &mut self.pair;
        let read = from_app.fill(app, client, unseen(self.guard), cx).map_err(|_| Ending::Reset(Side::App))?;
        if let Some(guard) = &mut self.guard {
            guard.examine_app(from_app.buffer.unexamined());
        }
        Ok(read | pass_on(from_app, client, cx).map_err(|_| Ending::Reset(Side::Client))?)
    }
}

/// Returns how many bytes may pass unparsed.
const fn unseen(guard: Option<RequestGuard>) -> u64 {
    if guard.is_some() { 0 } else { ALL_UNSEEN }
}

/// Closes the connection of a peer, to which `flow` leads.
async fn close(peer: Wire, flow: &Flow) {
    if flow.has_unwritten() {
        peer.reset();
    } else {
        linger(peer).await;
    }
}

/// Forwards bytes and the end of the stream. Returns whether there were any.
fn pass_on(flow: &mut Flow, sink: &mut Wire, cx: &mut Context<'_>) -> io::Result<bool> {
    flow.buffer.clear_all();
    let flushed = flow.flush(sink, cx)?;
    let ended = flow.pass_end(sink, cx);
    Ok(flushed || ended)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn the_apps_bytes_show_that_it_is_alive() {
        let (mut client, mut app, pair) = Pair::with_far_ends().await;
        let answers = Cell::new(0);
        let talk = async {
            for byte in [b"a", b"b"] {
                client.write_all(byte).await.unwrap();
                app.read_exact(&mut [0]).await.unwrap();
            }
            let silent = answers.get();
            app.write_all(b"c").await.unwrap();
            client.read_exact(&mut [0]).await.unwrap();
            drop((client, app));
            silent
        };
        let mut tunnel = Tunnel::new(pair, None, None);
        let serve = poll_fn(|cx| tunnel.poll(|| answers.set(answers.get() + 1), cx));
        let (_, silent) = tokio::join!(serve, talk);
        assert_eq!((silent, answers.get() > 0), (0, true));
    }

    /// Other tasks of the thread get their turn before the rest of a large batch of bytes.
    #[tokio::test(start_paused = true)]
    async fn bulk_data_is_relayed_in_several_turns() {
        let (client, _app, pair) = Pair::with_far_ends().await;
        let mut sent = 0;
        while let Ok(count) = client.try_write(&[b'x'; 8192]) {
            sent += count;
        }
        assert!(sent > 1_000_000, "{sent} bytes wait, which is less than a turn may move");
        // Time for the runtime to find the sockets ready.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let mut tunnel = Tunnel::new(pair, None, None);
        assert!(poll_fn(|cx| Poll::Ready(tunnel.poll(|| (), cx).is_pending())).await);
        assert!(tunnel.background.has_yielded());
    }
}
