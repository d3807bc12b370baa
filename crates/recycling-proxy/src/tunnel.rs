//! Bytes both ways, without a look at them; each side's FIN is passed on when it comes.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use tokio::net::TcpStream;

use crate::buffer::Buffer;
use crate::flow::{end, poll_fill, poll_flush, reset};
use crate::label::labels;

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

/// Both sockets of a connection, and what was read from each and not yet written to the other.
#[derive(Debug)]
pub(crate) struct Tunnel {
    client: TcpStream,
    app: TcpStream,
    to_app: Pipe,
    to_client: Pipe,
}

/// One direction.
#[derive(Debug)]
struct Pipe {
    buffer: Buffer,
    phase: PipePhase,
}

/// ```text
/// Open ──source ended──▶ Ending ──buffer written──▶ Ended (the sink has its FIN)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PipePhase {
    Open,
    Ending,
    Ended,
}

impl Tunnel {
    pub(crate) fn new(client: TcpStream, app: TcpStream, mut from_client: Buffer, mut from_app: Buffer) -> Self {
        from_client.clear_all();
        from_app.clear_all();
        Self { client, app, to_app: Pipe::new(from_client), to_client: Pipe::new(from_app) }
    }

    /// Runs until both sides have ended; a reset of one side is one for the other.
    pub(crate) async fn run(mut self) {
        if poll_fn(|cx| self.poll(cx)).await.is_err() {
            reset(self.client);
            reset(self.app);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let moved_to_app = self.to_app.poll(&mut self.client, &mut self.app, cx)?;
            let moved_to_client = self.to_client.poll(&mut self.app, &mut self.client, cx)?;
            if self.to_app.phase == PipePhase::Ended && self.to_client.phase == PipePhase::Ended {
                return Poll::Ready(Ok(()));
            }
            if !moved_to_app && !moved_to_client {
                return Poll::Pending;
            }
        }
    }
}

impl Pipe {
    fn new(buffer: Buffer) -> Self {
        Self { buffer, phase: PipePhase::Open }
    }

    /// Moves what can be moved; whether anything was.
    fn poll(&mut self, source: &mut TcpStream, sink: &mut TcpStream, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut moved = false;
        if self.phase == PipePhase::Open
            && !self.buffer.is_full()
            && let Poll::Ready(count) = poll_fill(source, &mut self.buffer, cx)
        {
            moved = true;
            self.buffer.clear_all();
            if count? == 0 {
                self.phase = PipePhase::Ending;
            }
        }
        if let Poll::Ready(wrote) = poll_flush(sink, &mut self.buffer, cx) {
            moved |= wrote?;
        }
        if self.phase == PipePhase::Ending && self.buffer.is_empty() {
            end(sink, cx);
            self.phase = PipePhase::Ended;
            moved = true;
        }
        Ok(moved)
    }
}
