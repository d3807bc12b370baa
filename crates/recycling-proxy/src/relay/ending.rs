//! How a relayed connection ends.

/// How a relayed connection ends, as its relay decides; [`close`](crate::connection) does it.
///
/// `R` is the response to a client whose connection is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending<R> {
    /// Everything was sent to the client: close with a lingering close.
    Linger,
    /// The client's message became invalid after its response was forwarded: reset the app, so that it does not take the
    /// incomplete message for complete, and close the client's connection with a lingering close.
    Abandon,
    /// A message was refused: respond, and close with a lingering close.
    Refuse(R),
    /// The connection becomes a tunnel (HTTP/1 only).
    Tunnel,
    /// The client has closed the connection, or no response is unread: close.
    Close,
    /// A peer has failed within a message: reset the other side, so that it does not take the message for complete.
    Reset,
}

impl<R> Ending<R> {
    /// Returns its name in logs.
    pub(crate) const fn label(&self) -> &'static str {
        match self {
            Self::Linger => "linger",
            Self::Abandon => "abandon",
            Self::Refuse(_) => "refuse",
            Self::Tunnel => "tunnel",
            Self::Close => "close",
            Self::Reset => "reset",
        }
    }
}
