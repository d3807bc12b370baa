//! The reasons for which a proxy refuses an instruction.

use labels::labels;
use serde::{Deserialize, Serialize};

labels!(
    /// The reason for which a proxy refuses an instruction: a metric label, and a member of the report in its response.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub Refusal {
        /// It is not an instruction of this version, is too long, or has a number out of range.
        Malformed = "malformed",
        /// It is not signed with a key that the proxy knows.
        BadSignature = "bad_signature",
        /// It is for another workload.
        ForeignWorkload = "foreign_workload",
        /// Its sequence number is not higher than the last.
        OldSequence = "old_sequence",
    }
);

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
