//! The address of a listener's app.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use super::InvalidValue;

/// The address of a listener's app: an address, or a port on whichever address of this machine the app listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppAddress {
    /// This address.
    At(SocketAddr),
    /// On this port, at whichever address of the machine (or pod) the app listens; written `:8080`.
    OfPod(u16),
}

impl AppAddress {
    /// Returns the port on which the app listens.
    pub const fn port(self) -> u16 {
        match self {
            Self::At(address) => address.port(),
            Self::OfPod(port) => port,
        }
    }
}

impl FromStr for AppAddress {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let expected =
            InvalidValue("an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080, or a port alone: ':8080'");
        match text.strip_prefix(':') {
            Some(port) if port.bytes().all(|b| b.is_ascii_digit()) && !port.starts_with('0') => {
                port.parse().map(Self::OfPod).map_err(|_| expected)
            }
            Some(_) => Err(expected),
            None => text.parse().map(Self::At).map_err(|_| expected),
        }
    }
}

impl fmt::Display for AppAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address) => address.fmt(f),
            Self::OfPod(port) => write!(f, ":{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_is_given_by_address_or_port() {
        for good in ["127.0.0.1:1", "[::1]:8080", ":8080", ":65535"] {
            assert_eq!(good.parse::<AppAddress>().unwrap().to_string(), good);
        }
        for bad in ["", ":", ":0", ":080", ":+1", ":65536", "8080", "localhost:1", "::1", ":8080 "] {
            assert!(bad.parse::<AppAddress>().is_err(), "{bad:?}");
        }
    }
}
