//! Names of objects in a cluster.

use std::fmt;
use std::str::FromStr;

use super::InvalidValue;

/// The name of an object in a cluster. It can stand in a path of the API and in a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectName(String);

impl ObjectName {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<ObjectName> for String {
    fn from(name: ObjectName) -> Self {
        name.0
    }
}

impl FromStr for ObjectName {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let name = is_subdomain(text).then(|| Self(text.to_owned()));
        name.ok_or(InvalidValue("the name of an object in the cluster: lower-case letters, digits, - and ."))
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns whether `text` is a DNS subdomain name in lower case, as Kubernetes checks it: labels with dots between
/// them.
pub(crate) fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_name)
}

/// Returns whether `text` is a label of a DNS name in lower case (RFC 1123 §2.1).
pub(crate) fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_name(text)
}

/// Within a subdomain name, Kubernetes leaves the length of labels open.
fn is_name(text: &str) -> bool {
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.first().is_some_and(alphanumeric)
        && bytes.last().is_some_and(alphanumeric)
        && bytes.iter().all(|byte| alphanumeric(byte) || *byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_names_cannot_contain_path_segments() {
        for good in ["web", "1", "web.v2", "a-b", &"a".repeat(253)] {
            assert_eq!(good.parse::<ObjectName>().unwrap().to_string(), good);
        }
        for bad in ["", "a/b", "..", "a..b", ".a", "A", "a b", "-a", "a-", "a\n", &"a".repeat(254)] {
            assert!(bad.parse::<ObjectName>().is_err(), "{bad:?}");
        }
        assert!(is_label(&"a".repeat(63)) && !is_label(&"a".repeat(64)) && !is_label("a.b"));
    }
}
