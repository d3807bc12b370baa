//! HTTP/1 (RFC 9112): the framing is observed, the bytes are forwarded as they are.
//!
//! [`conversation`] is the pure core: it decides which bytes may pass, and announces the retirement of a connection in one
//! response head. `relay` moves the bytes. Requests are edited in two places: `upgrade` removes offers of HTTP/2, and, with
//! `forwarded-for`, `forwarded` adds the client's address.

#[cfg_attr(not(feature = "fuzzing"), allow(unreachable_pub))]
pub(crate) mod announce;
#[cfg_attr(not(feature = "fuzzing"), allow(unreachable_pub))]
pub(crate) mod body;
pub(crate) mod chunked;
#[cfg_attr(not(feature = "fuzzing"), allow(unreachable_pub))]
pub(crate) mod conversation;
#[cfg_attr(not(feature = "fuzzing"), allow(unreachable_pub))]
pub(crate) mod fault;
pub(crate) mod fields;
mod forwarded;
#[cfg_attr(not(feature = "fuzzing"), allow(unreachable_pub))]
pub(crate) mod head;
#[cfg_attr(not(feature = "fuzzing"), allow(unreachable_pub))]
pub(crate) mod lines;
#[cfg_attr(not(feature = "fuzzing"), allow(unreachable_pub))]
pub(crate) mod phase;
pub(crate) mod refusal;
pub(crate) mod relay;
mod upgrade;
