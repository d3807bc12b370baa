//! What both relays, of HTTP/1 and of HTTP/2, have in common.

pub mod forwarded_for;
pub(crate) mod observer;
pub mod side;
