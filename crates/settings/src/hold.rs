//! The hold ports: the ports of the proxy that `preStop` hooks call to wait for the drain.

use std::fmt;
use std::str::FromStr;

use crate::value::{InvalidValue, PortNumber};

/// A port on which the proxy responds to `/` once the drain is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldPort {
    /// The port that the hook calls.
    pub port: u16,
    /// The container whose hook calls the port; `None` if its liveness probe is unknown.
    pub container: Option<String>,
}

impl FromStr for HoldPort {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let expected = InvalidValue("ports such as 15212, or 15212=CONTAINER, separated by commas");
        let (port, container) = match text.split_once('=') {
            Some((port, container)) if !container.is_empty() => (port, Some(container.to_owned())),
            Some(_) => return Err(expected),
            None => (text, None),
        };
        let PortNumber(port) = port.parse().map_err(|_| expected)?;
        Ok(Self { port, container })
    }
}

impl fmt::Display for HoldPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.container {
            Some(container) => write!(f, "{}={container}", self.port),
            None => self.port.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hold_ports_survive_a_round_trip() {
        for text in ["15212", "15213=web"] {
            assert_eq!(text.parse::<HoldPort>().unwrap().to_string(), text);
        }
        for bad in ["", "0", "web", "15212=", "=web", "15212:web"] {
            assert!(bad.parse::<HoldPort>().is_err(), "{bad:?}");
        }
    }
}
