//! HTTP/1 (RFC 9112): the framing is observed, the bytes are forwarded as they are.
//!
//! [`conversation`] is the pure core: it says which bytes may pass, and announces the retirement of a connection in
//! the one response head that carries it. `relay` moves the bytes. Requests are edited
//! in two places: `upgrade` takes offers of HTTP/2 out, `forwarded` puts the client's address in where that is asked for.

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
