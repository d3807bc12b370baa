//! What both relays, of HTTP/1 and of HTTP/2, have in common.

pub(crate) mod ending;
pub mod forwarded_for;
pub(crate) mod observer;
pub mod protocol_error;
pub mod side;
