//! The app: its address, its liveness, and the hold of its `preStop` hook until the drain is over.

pub(crate) mod dial;
pub(crate) mod health;
pub(crate) mod hold;
pub(crate) mod liveness;
pub(crate) mod proxy_protocol;
pub(crate) mod sockets;
