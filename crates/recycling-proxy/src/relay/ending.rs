//! How a relayed connection ends.

/// How a relayed connection ends, as its relay decides; [`close`](crate::connection) does it.
///
/// `R` says what a client is answered whose connection is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending<R> {
    /// The client was sent all that there is: close, and let it read.
    Linger,
    /// The client's message became invalid after its answer had passed: the app must not take what it has for the whole, and
    /// the client may read what it has.
    Abandon,
    /// A message was refused: answer, close, and let the client read.
    Refuse(R),
    /// HTTP/1 alone: the connection goes on as a tunnel.
    Tunnel,
    /// The client has left, or has nothing to lose.
    Close,
    /// A peer broke off in the middle, and the other must not take it for an end.
    Reset,
}

impl<R> Ending<R> {
    /// Returns the word for it in logs.
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
