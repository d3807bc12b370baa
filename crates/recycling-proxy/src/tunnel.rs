//! Bytes both ways, without a look at them; each side's FIN is passed on when it comes.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::timeout;

use crate::flow::{ALL_UNSEEN, Flow};
use crate::label::labels;
use crate::linger::linger;
use crate::pair::Pair;
use crate::wire::Wire;

labels!(
    /// Why the bytes of a connection are not looked at.
    TunnelKind {
        /// The port is one of the opaque ports.
        OpaquePort = "opaque_port",
        /// The client speaks TLS, and there is no certificate to end it with.
        Tls = "tls",
        /// The client speaks neither HTTP/1 nor HTTP/2.
        NotHttp = "not_http",
        /// The client ended without a byte.
        Silent = "silent",
        /// The app spoke first.
        AppFirst = "app_first",
        /// The app switched protocols (101), or answered CONNECT with 2xx.
        Upgraded = "upgraded",
    }
);

labels!(
    /// How a tunnel has ended.
    TunnelEnd {
        /// Both sides have said all that they had to say.
        Done = "done",
        /// One side broke off, which the other was shown as a reset.
        Reset = "reset",
        /// It was cut at its greatest age.
        MaxTunnelAge = "max_tunnel_age",
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

    /// Runs until both sides have ended, or until the tunnel is as old as it may become; a reset of one side is one for
    /// the other. Whenever the app has said something, `answered` is called.
    pub(crate) async fn run(mut self, max_age: Option<Duration>, answered: impl Fn()) -> TunnelEnd {
        let both = poll_fn(|cx| self.poll(&answered, cx));
        let ended = match max_age {
            Some(age) => timeout(age, both).await,
            None => Ok(both.await),
        };
        match ended {
            Ok(Ok(())) => TunnelEnd::Done,
            Ok(Err(_)) => {
                self.pair.client.reset();
                self.pair.app.reset();
                TunnelEnd::Reset
            }
            Err(_) => {
                self.cut().await;
                TunnelEnd::MaxTunnelAge
            }
        }
    }

    /// Ends both sides: with a FIN where everything has passed that was for that side, else visibly short.
    async fn cut(self) {
        let Pair { client, app, from_client, from_app } = self.pair;
        tokio::join!(end(client, &from_app), end(app, &from_client));
    }

    fn poll(&mut self, answered: impl Fn(), cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Pair { client, app, from_client, from_app } = &mut self.pair;
        from_client.begin_poll();
        from_app.begin_poll();
        loop {
            let moved_to_app = pass(from_client, client, app, cx)?;
            let moved_to_client = pass(from_app, app, client, cx)?;
            if moved_to_client && !from_app.source_ended() {
                answered();
            }
            if from_client.has_passed_end() && from_app.has_passed_end() {
                return Poll::Ready(Ok(()));
            }
            if !moved_to_app && !moved_to_client {
                return Poll::Pending;
            }
        }
    }
}

async fn end(peer: Wire, flow: &Flow) {
    if flow.is_owed() {
        peer.reset();
    } else {
        linger(peer).await;
    }
}

/// Moves what can be moved; whether anything was.
fn pass(flow: &mut Flow, source: &mut Wire, sink: &mut Wire, cx: &mut Context<'_>) -> io::Result<bool> {
    let moved = flow.fill(source, sink, ALL_UNSEEN, cx)?;
    flow.buffer.clear_all();
    let flushed = flow.flush(sink, cx)?;
    let ended = flow.pass_end(sink, cx);
    Ok(moved || flushed || ended)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn the_apps_bytes_show_that_it_is_alive() {
        let (mut client, mut app, pair) = Pair::with_far_ends().await;
        let answers = Cell::new(0);
        let talk = async {
            for question in [b"a", b"b"] {
                client.write_all(question).await.unwrap();
                app.read_exact(&mut [0]).await.unwrap();
            }
            let silent = answers.get();
            app.write_all(b"c").await.unwrap();
            client.read_exact(&mut [0]).await.unwrap();
            drop((client, app));
            silent
        };
        let (_, silent) = tokio::join!(Tunnel::new(pair).run(None, || answers.set(answers.get() + 1)), talk);
        assert_eq!((silent, answers.get() > 0), (0, true));
    }
}
