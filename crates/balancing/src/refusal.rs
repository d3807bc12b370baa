//! Why a proxy refuses an instruction.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a proxy refuses an instruction: a metric label, and a field of the report that it answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// It is not an instruction of this version, is too long, or has a number out of range.
    Malformed,
    /// It is not signed with a key that the proxy knows.
    BadSignature,
    /// It is for another workload.
    ForeignWorkload,
    /// Its sequence number is not higher than the last.
    OldSequence,
}

impl Refusal {
    /// Every reason, in the order in which they are checked.
    pub const ALL: &[Self] = &[Self::Malformed, Self::BadSignature, Self::ForeignWorkload, Self::OldSequence];

    /// Returns the word for it in reports, logs and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::BadSignature => "bad_signature",
            Self::ForeignWorkload => "foreign_workload",
            Self::OldSequence => "old_sequence",
        }
    }

    /// Returns what it means, as a sentence.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Malformed => "It is not an instruction of this version, is too long, or has a number out of range.",
            Self::BadSignature => "It is not signed with a key that the proxy knows.",
            Self::ForeignWorkload => "It is for another workload.",
            Self::OldSequence => "Its sequence number is not higher than the last.",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::BalanceState;

    #[test]
    fn json_has_the_labels_of_metrics() {
        for refusal in Refusal::ALL {
            assert_eq!(serde_json::to_value(refusal).unwrap(), refusal.label());
        }
        for state in BalanceState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.label());
        }
    }
}
