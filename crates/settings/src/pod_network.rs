//! The addresses that the kubelet passes to a container (the downward API).

use std::net::IpAddr;
use std::str::FromStr;

use crate::value::InvalidValue;

/// The addresses of a pod and of its node: `status.podIP` and `status.hostIP`. `None` if they are not set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PodNetwork {
    /// The pod's address; of a pod with `hostNetwork` it is the node's.
    pub pod_ip: Option<IpAddr>,
    /// The node's address.
    pub host_ip: Option<IpAddr>,
}

/// An IP address, as options are parsed.
pub(crate) struct Ip(pub(crate) IpAddr);

impl FromStr for Ip {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        text.parse().map(Self).map_err(|_| InvalidValue("an IP address, such as 10.0.0.7 or fd00::7"))
    }
}
