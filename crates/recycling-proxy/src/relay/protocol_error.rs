//! A message that is not forwarded.

use super::side::Side;

/// What is wrong with a message, and whose it is. `F` is the faults of a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtocolError<F> {
    /// Who sent the message.
    pub side: Side,
    /// What is wrong with it.
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
