//! Protocol errors: messages that are not forwarded.

use super::side::Side;

/// A protocol error in a message, and its side. `F` is the enum of the protocol's faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtocolError<F> {
    /// The side that sent the message.
    pub side: Side,
    /// The fault.
    pub fault: F,
}

impl<F> ProtocolError<F> {
    /// Returns an error of the client's.
    pub const fn client(fault: F) -> Self {
        Self { side: Side::Client, fault }
    }

    /// Returns an error of the app's.
    pub const fn app(fault: F) -> Self {
        Self { side: Side::App, fault }
    }
}
