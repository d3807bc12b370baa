//! The name of the workload that a report or an instruction is for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest label of a DNS name (RFC 1123 §2.1), the bound of namespaces and kinds.
const LONGEST_LABEL: usize = 63;
/// The longest DNS name, the bound of object names.
const LONGEST_NAME: usize = 253;

/// A workload: `NAMESPACE/KIND/NAME`, such as `shop/Deployment/web`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Workload(String);

/// Text that is not the name of a workload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected NAMESPACE/KIND/NAME, such as shop/Deployment/web")]
pub struct InvalidWorkload;

impl Workload {
    /// Returns the workload with this namespace, kind and name.
    ///
    /// # Errors
    /// If the namespace is not a DNS label, the kind is not a word of ASCII letters and digits, or the name is not a
    /// DNS name in lower case (RFC 1123).
    pub fn new(namespace: &str, kind: &str, name: &str) -> Result<Self, InvalidWorkload> {
        format!("{namespace}/{kind}/{name}").parse()
    }

    /// Returns its namespace.
    pub fn namespace(&self) -> &str {
        self.part(0)
    }

    /// Returns its kind, such as `Deployment`.
    pub fn kind(&self) -> &str {
        self.part(1)
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        self.part(2)
    }

    /// Returns it as `NAMESPACE/KIND/NAME`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn part(&self, part: usize) -> &str {
        self.0.split('/').nth(part).unwrap_or_default()
    }
}

impl FromStr for Workload {
    type Err = InvalidWorkload;

    fn from_str(text: &str) -> Result<Self, InvalidWorkload> {
        text.to_owned().try_into()
    }
}

impl TryFrom<String> for Workload {
    type Error = InvalidWorkload;

    fn try_from(text: String) -> Result<Self, InvalidWorkload> {
        let mut parts = text.split('/');
        let (Some(namespace), Some(kind), Some(name), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidWorkload);
        };
        let valid = is_label(namespace) && is_kind(kind) && is_name(name);
        if valid { Ok(Self(text)) } else { Err(InvalidWorkload) }
    }
}

impl From<Workload> for String {
    fn from(workload: Workload) -> Self {
        workload.0
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns whether `text` is a label of a DNS name in lower case.
fn is_label(text: &str) -> bool {
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.len() <= LONGEST_LABEL
        && bytes.iter().all(|byte| alphanumeric(byte) || *byte == b'-')
        && bytes.first().is_some_and(alphanumeric)
        && bytes.last().is_some_and(alphanumeric)
}

fn is_kind(text: &str) -> bool {
    text.len() <= LONGEST_LABEL
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Returns whether `text` is a DNS subdomain name by the rule of Kubernetes, which does not limit the length of its
/// labels.
fn is_name(text: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= LONGEST_NAME
        && text.split('.').all(|label| {
            label.bytes().all(|byte| alphanumeric(byte) || byte == b'-')
                && label.bytes().next().is_some_and(alphanumeric)
                && label.bytes().next_back().is_some_and(alphanumeric)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_survives_a_round_trip() {
        let longest = "a".repeat(253);
        for (namespace, kind, name) in [("shop", "Deployment", "web"), ("0", "a1", "x.y-z.0"), ("a-b", "K", &longest)] {
            let workload = Workload::new(namespace, kind, name).unwrap();
            assert_eq!((workload.namespace(), workload.kind(), workload.name()), (namespace, kind, name));
            assert_eq!(workload.to_string().parse(), Ok(workload));
        }
    }

    #[test]
    fn names_that_kubernetes_would_refuse_are_refused() {
        let too_long = format!("a/B/{}", "a".repeat(254));
        for text in [
            "",
            "web",
            "shop/web",
            "shop/Deployment/",
            "/Deployment/web",
            "shop//web",
            "shop/Deployment/web/x",
            "Shop/Deployment/web",
            "shop/Deploy-ment/web",
            "shop/1/web",
            "shop/Deployment/-web",
            "shop/Deployment/web.",
            "shop/Deployment/w eb",
            "shop/Deployment/wéb",
            "sh.op/Deployment/web",
            " shop/Deployment/web",
            &too_long,
        ] {
            assert_eq!(text.parse::<Workload>(), Err(InvalidWorkload), "{text:?}");
        }
    }
}
