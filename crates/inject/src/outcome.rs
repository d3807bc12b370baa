//! The outcome of an injection.

pub(crate) mod refusal;
pub(crate) mod report;
pub(crate) mod skip;

use json_patch::Patch;
use labels::labels;
use settings::Faults;

use crate::json::node::Unreadable;
use crate::outcome::report::{Report, warning};
use crate::outcome::skip::SkipReason;

/// The most faults that warnings list.
const MAX_FAULTS: usize = 20;

/// The outcome for a workload. Patches apply to the whole object, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// No annotation asks for the proxy, and nothing is injected.
    NotAsked,
    /// The proxy is injected or updated.
    Inject {
        /// Never empty.
        patch: Patch,
        /// What is injected.
        report: Report,
    },
    /// The injection is up to date.
    Unchanged {
        /// What is injected.
        report: Report,
    },
    /// Not changed, because the object's controller is injected instead. The controller would revert a change, or
    /// create new objects endlessly.
    Owned,
    /// Not injected, because this pod cannot have the proxy.
    Skip {
        /// The reason.
        reason: SkipReason,
        /// Removes an earlier injection; mostly empty.
        patch: Patch,
    },
    /// The annotations no longer ask for the proxy. The workload becomes what its author wrote.
    Remove {
        /// Never empty.
        patch: Patch,
    },
    /// The annotations have faults. What is injected stays.
    Invalid {
        /// Every fault.
        faults: Faults,
        /// Repairs an object that the API server would refuse (a probe with the author's handler beside the injected
        /// one, for example); mostly empty.
        patch: Patch,
    },
    /// The object does not have the form of its kind. The API server decides about it.
    Unreadable(Unreadable),
}

labels!(
    /// An outcome without its details, for metrics and logs. The sentences have no full stop.
    #[derive(PartialOrd, Ord)]
    pub Decision {
        /// no annotation asks for the recycling proxy
        NotAsked = "not_asked",
        /// the recycling proxy was injected or updated
        Injected = "injected",
        /// the recycling proxy is up to date
        Unchanged = "unchanged",
        /// another workload controls it and is injected instead; it is unchanged
        Owned = "owned",
        /// an annotation asks for the recycling proxy, but this workload cannot have it
        Skipped = "skipped",
        /// the recycling proxy was removed
        Removed = "removed",
        /// the annotations have faults; nothing was injected or changed
        Invalid = "invalid",
        /// the object is not valid for its kind; it is unchanged
        Unreadable = "unreadable",
    }
);

impl Outcome {
    /// Returns the patch for the object, `None` if nothing changes.
    pub fn patch(&self) -> Option<&Patch> {
        let patch = match self {
            Self::Inject { patch, .. }
            | Self::Skip { patch, .. }
            | Self::Remove { patch }
            | Self::Invalid { patch, .. } => patch,
            Self::NotAsked | Self::Unchanged { .. } | Self::Owned | Self::Unreadable(_) => return None,
        };
        (!patch.is_empty()).then_some(patch)
    }

    /// Returns the outcome without its details.
    pub fn decision(&self) -> Decision {
        match self {
            Self::NotAsked => Decision::NotAsked,
            Self::Inject { .. } => Decision::Injected,
            Self::Unchanged { .. } => Decision::Unchanged,
            Self::Owned => Decision::Owned,
            Self::Skip { .. } => Decision::Skipped,
            Self::Remove { .. } => Decision::Removed,
            Self::Invalid { .. } => Decision::Invalid,
            Self::Unreadable(_) => Decision::Unreadable,
        }
    }

    /// Returns why the workload was skipped.
    pub fn skip_reason(&self) -> Option<SkipReason> {
        match self {
            Self::Skip { reason, .. } => Some(*reason),
            Self::NotAsked
            | Self::Inject { .. }
            | Self::Unchanged { .. }
            | Self::Owned
            | Self::Remove { .. }
            | Self::Invalid { .. }
            | Self::Unreadable(_) => None,
        }
    }

    /// Returns warnings for the author of the workload, in sentences of at most 120 characters.
    ///
    /// If nothing changes, only the reason of a skip is repeated.
    pub fn warnings(&self) -> Vec<String> {
        match self {
            Self::Inject { report, .. } => report.notes.iter().map(|note| warning(&note.to_string())).collect(),
            Self::Skip { reason, .. } => vec![warning(&format!("not injected: {}", reason.sentence()))],
            Self::Invalid { faults, .. } => first(faults),
            Self::NotAsked | Self::Unchanged { .. } | Self::Owned | Self::Remove { .. } | Self::Unreadable(_) => {
                Vec::new()
            }
        }
    }
}

/// Returns warnings for the first faults: the API server cuts warnings beyond 4096 characters in all.
fn first(faults: &Faults) -> Vec<String> {
    let mut warnings: Vec<String> = faults.iter().take(MAX_FAULTS).map(|fault| warning(&fault.to_string())).collect();
    if let Some(more @ 1..) = faults.iter().len().checked_sub(MAX_FAULTS) {
        warnings.push(warning(&format!("{more} more faults")));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use settings::Fault;

    use super::*;

    #[test]
    fn warnings_for_many_faults_end_with_their_number() {
        let faults = (0..1000).map(|n| Fault::missing(format!("evenkeel.dev/{n}"), "x")).collect();
        let faults = Faults::none_or(faults).unwrap_err();
        let warnings = Outcome::Invalid { faults, patch: Patch::default() }.warnings();
        assert_eq!((warnings.len(), warnings[20].as_str()), (21, "evenkeel: 980 more faults"));
    }

    #[test]
    fn no_skip_reason_is_truncated() {
        for reason in SkipReason::ALL {
            let outcome = Outcome::Skip { reason: *reason, patch: Patch::default() };
            assert_eq!(outcome.warnings(), [format!("evenkeel: not injected: {}", reason.sentence())]);
            assert_eq!(outcome.patch(), None);
        }
    }
}
