//! The app's side: the address of a connection's app, its liveness, and how its hook waits for the drain.

pub(crate) mod dial;
pub(crate) mod hold;
pub(crate) mod liveness;
pub(crate) mod proxy_protocol;
pub(crate) mod sockets;
