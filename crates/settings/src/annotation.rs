//! The annotations: `evenkeel.dev/KEY` on a workload's own metadata or on its pod template.

use std::fmt;

use crate::table::Annotation;

/// The prefix of evenkeel's annotation keys.
pub const PREFIX: &str = "evenkeel.dev/";
/// The annotation that the webhook writes: the record of an injection, so that a removal restores the original.
pub const STATUS_KEY: &str = "evenkeel.dev/status";

/// The longest unknown name, in bytes, for which a similar known one is suggested.
const LONGEST_SLIP: usize = 40;

/// Names from before the first release, each with its present name. They are no aliases: a warning gives the present
/// name.
const RENAMED: &[(&str, Annotation)] = &[("tls-upstream", Annotation::TlsToApp)];

impl Annotation {
    /// Returns the annotation with this whole key.
    pub fn of_key(key: &str) -> Option<Self> {
        Self::of_name(key.strip_prefix(PREFIX)?)
    }

    /// Returns the annotation with this key, which is without its prefix.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|annotation| annotation.name() == name)
    }

    /// Returns the annotation whose key is nearest to a mistyped one; `None` if none is similar.
    ///
    /// A key of any length costs a few microseconds at most.
    pub fn nearest(key: &str) -> Option<Self> {
        let name = key.strip_prefix(PREFIX).unwrap_or(key);
        if let Some((_, renamed)) = RENAMED.iter().find(|(earlier, _)| *earlier == name) {
            return Some(*renamed);
        }
        // The time for the distance grows with the product of the lengths, and so long a name is no typing error.
        if name.len() > LONGEST_SLIP {
            return None;
        }
        let distance = |annotation: &Self| strsim::damerau_levenshtein(annotation.name(), name);
        let nearest = Self::ALL.iter().copied().min_by_key(distance)?;
        (distance(&nearest) <= name.chars().count() / 2).then_some(nearest)
    }
}

impl fmt::Display for Annotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotation_keys_have_the_prefix_and_survive_a_round_trip() {
        for annotation in Annotation::ALL {
            assert_eq!(annotation.key(), format!("{PREFIX}{}", annotation.name()));
            assert_eq!(Annotation::of_key(annotation.key()), Some(*annotation));
            assert_ne!(annotation.key(), STATUS_KEY);
        }
    }

    #[test]
    fn the_nearest_annotation_of_a_misspelt_key_is_found() {
        for (typed, meant) in [
            ("evenkeel.dev/max-request", Annotation::MaxRequests),
            ("evenkeel.dev/maxrequests", Annotation::MaxRequests),
            ("evenkeel.dev/jiter", Annotation::Jitter),
            ("evenkeel.dev/proxy-memory-limits", Annotation::ProxyMemoryLimit),
            ("evenkeel.dev/port", Annotation::Ports),
            ("evenkeel.dev/tls-upstream", Annotation::TlsToApp),
        ] {
            assert_eq!(Annotation::nearest(typed), Some(meant), "{typed}");
        }
    }

    #[test]
    fn a_key_that_resembles_no_annotation_has_no_hint() {
        for key in [
            "evenkeel.dev/",
            "evenkeel.dev/x",
            "evenkeel.dev/färgsättning",
            &format!("{PREFIX}{}", "max-requests".repeat(4)),
        ] {
            assert_eq!(Annotation::nearest(key), None, "{key}");
        }
        assert_eq!(Annotation::nearest(&"x".repeat(100 << 20)), None);
    }
}
