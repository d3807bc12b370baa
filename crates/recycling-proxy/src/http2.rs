//! HTTP/2 (RFC 9113): frames are forwarded as they are, and only their nine-byte headers are read.
//!
//! HPACK state, SETTINGS, PING and flow control stay between the client and its app. [`session`] is the pure core; it
//! retires a connection by a two-step GOAWAY (RFC 9113 §6.8). `relay` moves the bytes. `addition` is the one edit of
//! requests, with `forwarded-for`; only for it, `field_block` parses field blocks.

pub(crate) mod addition;
#[cfg_attr(not(feature = "fuzzing"), allow(unreachable_pub))]
pub(crate) mod fault;
pub(crate) mod field_block;
#[cfg_attr(not(feature = "fuzzing"), allow(unreachable_pub))]
pub(crate) mod frame;
#[cfg_attr(not(feature = "fuzzing"), allow(unreachable_pub))]
pub(crate) mod graceful_shutdown;
pub(crate) mod profile;
pub(crate) mod relay;
#[cfg_attr(not(feature = "fuzzing"), allow(unreachable_pub))]
pub(crate) mod session;
pub(crate) mod streams;
pub(crate) mod walk;
