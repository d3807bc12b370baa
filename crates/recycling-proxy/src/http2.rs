//! HTTP/2 (RFC 9113): forwards frames unchanged, and parses only their headers of nine octets.
//!
//! HPACK state, SETTINGS, PING and flow control stay between the client and its app. [`session`] is the pure core; it
//! retires a connection by a graceful shutdown with two GOAWAY frames (RFC 9113 §6.8). `relay` moves the bytes. With
//! `forwarded-for`, `addition` adds the client's address to requests, and `field_block` parses field blocks for it.

pub(crate) mod addition;
#[cfg_attr(not(feature = "fuzzing"), allow(unreachable_pub))]
pub(crate) mod fault;
pub(crate) mod field_block;
#[cfg_attr(not(feature = "fuzzing"), allow(unreachable_pub))]
pub(crate) mod frame;
pub(crate) mod frame_parser;
#[cfg_attr(not(feature = "fuzzing"), allow(unreachable_pub))]
pub(crate) mod graceful_shutdown;
pub(crate) mod profile;
pub(crate) mod relay;
#[cfg_attr(not(feature = "fuzzing"), allow(unreachable_pub))]
pub(crate) mod session;
pub(crate) mod streams;
