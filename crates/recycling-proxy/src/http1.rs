//! HTTP/1 (RFC 9112): parses the framing of messages, and forwards their bytes unchanged.
//!
//! [`conversation`] is the pure core: it decides which bytes may be forwarded, and announces the retirement of a
//! connection in a response head. `relay` moves the bytes. Requests are edited in two places: `upgrade` removes offers
//! of HTTP/2, and `forwarded` appends the client's address if `forwarded-for` is on.

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
