//! Where a program listens.

use std::net::SocketAddr;
use std::str::FromStr;

use super::InvalidValue;

/// An IP address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketAddress(SocketAddr);

impl SocketAddress {
    /// Returns the address.
    pub const fn get(self) -> SocketAddr {
        self.0
    }
}

impl FromStr for SocketAddress {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let address = text.parse().map(Self);
        address.map_err(|_| InvalidValue("an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080"))
    }
}
