//! The app's side: where the app of a connection is, whether it is alive, and whether it has to wait for the drain.

pub(crate) mod dial;
pub(crate) mod hold;
pub(crate) mod liveness;
pub(crate) mod proxy_protocol;
pub(crate) mod sockets;
