//! Image references.

use std::fmt;
use std::str::FromStr;

use super::InvalidValue;

/// A container image reference, of which only the characters are checked; the kubelet checks its form.
///
/// No other character of a user's text gets into a pod's `image`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageReference(String);

impl ImageReference {
    /// Returns the reference as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ImageReference {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-/:@".contains(&b);
        let starts_well = text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
        if starts_well && text.len() <= 512 && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidValue("an image reference such as registry.example/recycling-proxy:1.0"))
        }
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_references_have_only_permitted_characters() {
        for good in ["localhost/evenkeel-proxy:dev", "a", "r.io:5000/a/b@sha256:0a1b"] {
            assert_eq!(good.parse::<ImageReference>().unwrap().as_str(), good);
        }
        for bad in ["", " a", "a b", "a\n", "$(IMAGE)", "\"a\"", "-a", "/a", "ａ"] {
            assert!(bad.parse::<ImageReference>().is_err(), "{bad:?}");
        }
        assert!("a".repeat(513).parse::<ImageReference>().is_err());
    }
}
