//! An exchange that ended before it was complete: which side ended it, and in which phase.

use labels::labels;

use super::side::Side;

labels!(
    /// Which side broke an exchange off.
    pub BrokenBy {
        /// The client closed the connection, or sent a protocol error.
        Client = "client",
        /// The app closed the connection, or sent a protocol error.
        App = "app",
        /// The proxy: for lack of memory or slots, at max-tunnel-age, or at the deadline of an HTTP/2 connection that
        /// it retires.
        Proxy = "proxy",
    }
);

labels!(
    /// The phase of an exchange that was broken off.
    pub ExchangePhase {
        /// After the request's head, before the end of its body.
        RequestBody = "request_body",
        /// After the request, before the head of the final response.
        ResponseHead = "response_head",
        /// After the response's head, before the end of its body.
        ResponseBody = "response_body",
        /// The connection was a tunnel.
        Tunnel = "tunnel",
    }
);

impl From<Side> for BrokenBy {
    fn from(side: Side) -> Self {
        match side {
            Side::Client => Self::Client,
            Side::App => Self::App,
        }
    }
}

/// An exchange that was broken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which side broke it off.
    pub by: BrokenBy,
    /// The phase.
    pub phase: ExchangePhase,
    /// Whether a message was refused, which is logged separately.
    pub refused: bool,
}

impl Broken {
    /// Returns an exchange that ended with its connection or stream.
    pub const fn ended(by: BrokenBy, phase: ExchangePhase) -> Self {
        Self { by, phase, refused: false }
    }
}
