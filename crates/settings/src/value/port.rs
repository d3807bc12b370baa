//! A port that has no name.

use std::str::FromStr;

use super::{InvalidValue, PortRef};

/// A port that must be a number.
pub(crate) struct PortNumber(pub(crate) u16);

impl FromStr for PortNumber {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text.parse() {
            Ok(PortRef::Number(number)) => Ok(Self(number)),
            Ok(PortRef::Name(_)) | Err(_) => Err(InvalidValue("port numbers from 1 to 65535, separated by commas")),
        }
    }
}
