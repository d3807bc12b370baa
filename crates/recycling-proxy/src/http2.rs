//! HTTP/2 (RFC 9113): frames are forwarded as they are, and only their nine-byte headers are read.
//!
//! HPACK state, SETTINGS, PING and flow control stay between the client and its app. [`session`] is the pure core; it
//! retires a connection by a two-step GOAWAY (RFC 9113 §6.8). `relay` moves the bytes. `addition` is the one edit of
//! requests, where asked for; for its sake alone, `field_block` looks into a block.

pub mod addition;
pub mod fault;
pub mod field_block;
pub mod frame;
pub mod goodbye;
pub mod profile;
pub(crate) mod relay;
pub mod session;
pub mod streams;
pub mod walk;
