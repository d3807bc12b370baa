//! What the first bytes of a connection are, and whether a server could take them for a request.

#[cfg_attr(not(feature = "fuzzing"), allow(unreachable_pub))]
pub(crate) mod first_line;
#[cfg_attr(not(feature = "fuzzing"), allow(unreachable_pub))]
pub(crate) mod protocol;
pub(crate) mod request_guard;
