//! Detects the protocol of a connection's first bytes, and bytes that a server could parse as a request.

#[cfg_attr(not(feature = "fuzzing"), allow(unreachable_pub))]
pub(crate) mod first_line;
#[cfg_attr(not(feature = "fuzzing"), allow(unreachable_pub))]
pub(crate) mod protocol;
pub(crate) mod request_guard;
