//! The parts that the relays of HTTP/1 and HTTP/2 have in common.

#[cfg_attr(not(feature = "fuzzing"), allow(unreachable_pub))]
pub(crate) mod broken;
pub(crate) mod ending;
#[cfg_attr(not(feature = "fuzzing"), allow(unreachable_pub))]
pub(crate) mod forwarded_for;
pub(crate) mod observer;
#[cfg_attr(not(feature = "fuzzing"), allow(unreachable_pub))]
pub(crate) mod protocol_error;
#[cfg_attr(not(feature = "fuzzing"), allow(unreachable_pub))]
pub(crate) mod side;
#[cfg_attr(not(feature = "fuzzing"), allow(unreachable_pub))]
pub(crate) mod source;
