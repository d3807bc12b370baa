//! Bytes both ways, without a look at them; each side's FIN is passed on when it comes.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use crate::connection::Pair;
use crate::flow::{ALL_UNSEEN, Flow};
use crate::label::labels;
use crate::wire::Wire;

labels!(
    /// Why the bytes of a connection are not looked at.
    TunnelKind {
        /// The port is one of the opaque ports.
        OpaquePort = "opaque_port",
        /// The client speaks neither HTTP/1 nor HTTP/2; TLS is such a case.
        NotHttp = "not_http",
        /// The client ended without a byte.
        Silent = "silent",
        /// The app spoke first.
        AppFirst = "app_first",
        /// The app switched protocols (101), or answered CONNECT with 2xx.
        Upgraded = "upgraded",
    }
);

/// Both connections, and what was read from each and not yet written to the other.
#[derive(Debug)]
pub(crate) struct Tunnel {
    pair: Pair,
}

impl Tunnel {
    pub(crate) fn new(mut pair: Pair) -> Self {
        pair.from_client.buffer.clear_all();
        pair.from_app.buffer.clear_all();
        Self { pair }
    }

    /// Runs until both sides have ended; a reset of one side is one for the other.
    pub(crate) async fn run(mut self) {
        if poll_fn(|cx| self.poll(cx)).await.is_err() {
            self.pair.client.reset();
            self.pair.app.reset();
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Pair { client, app, from_client, from_app } = &mut self.pair;
        loop {
            let moved_to_app = pass(from_client, client, app, cx)?;
            let moved_to_client = pass(from_app, app, client, cx)?;
            if from_client.has_passed_end() && from_app.has_passed_end() {
                return Poll::Ready(Ok(()));
            }
            if !moved_to_app && !moved_to_client {
                return Poll::Pending;
            }
        }
    }
}

/// Moves what can be moved; whether anything was.
fn pass(flow: &mut Flow, source: &mut Wire, sink: &mut Wire, cx: &mut Context<'_>) -> io::Result<bool> {
    let filled = flow.fill(source, sink, ALL_UNSEEN, cx)?;
    flow.buffer.clear_all();
    let flushed = flow.flush(sink, cx)?;
    let ended = flow.pass_end(sink, cx);
    Ok(filled.moved || flushed || ended)
}
