//! What became of a workload.

use json_patch::Patch;
use settings::Faults;

use crate::node::Unreadable;
use crate::report::{Report, warning};
use crate::skip::SkipReason;

/// How many faults are told one by one in warnings.
const MOST_FAULTS: usize = 20;

/// What became of a workload. Patches apply to the whole object, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// No annotation asks for the proxy, and none of ours is there.
    NotAsked,
    /// The proxy goes in, or what is there is brought up to date.
    Inject {
        /// Never empty.
        patch: Patch,
        /// What goes in.
        report: Report,
    },
    /// Everything is as it should be.
    Unchanged {
        /// What is there.
        report: Report,
    },
    /// Asked for, but what controls the object is what is injected: a change here would be undone or never end.
    Owned,
    /// Asked for, but this pod cannot have it.
    Skip {
        /// Why not.
        reason: SkipReason,
        /// Takes an earlier injection out; mostly empty.
        patch: Patch,
    },
    /// No longer asked for: the workload becomes what its author wrote.
    Remove {
        /// Never empty.
        patch: Patch,
    },
    /// Asked for with settings that cannot be used. What is there stays as it is.
    Invalid {
        /// Every fault.
        faults: Faults,
        /// Mends an object that would be refused otherwise (a probe with the author's handler beside ours, say);
        /// mostly empty.
        patch: Patch,
    },
    /// Not of the form that its kind has; the API server has the last word on it.
    Unreadable(Unreadable),
}

/// Defines the decisions; label and sentence are written once.
macro_rules! decisions {
    ($($variant:ident: $label:literal, $sentence:literal;)+) => {
        /// An outcome without its details, for metrics and logs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Decision {
            $(#[doc = $sentence] $variant,)+
        }

        impl Decision {
            /// Every decision.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The label in metrics, logs and test names.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }

            /// One sentence for its user, without a full stop.
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $sentence,)+ }
            }
        }
    };
}

decisions! {
    NotAsked: "not_asked", "no annotation asks for the recycling proxy";
    Injected: "injected", "the recycling proxy was injected or brought up to date";
    Unchanged: "unchanged", "the recycling proxy is there as it should be";
    Owned: "owned", "another workload controls it, and is what to inject into; it was left as it is";
    Skipped: "skipped", "the recycling proxy was asked for, but this workload cannot have it";
    Removed: "removed", "the recycling proxy was taken out";
    Invalid: "invalid", "the annotations have faults; nothing was injected or changed";
    Unreadable: "unreadable", "the object does not have the form of its kind; it was left as it is";
}

impl Outcome {
    /// What to do to the object, `None` where nothing.
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

    /// The outcome without its details.
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

    /// Why the workload was skipped.
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

    /// What the author of the workload should know, in sentences of at most 120 characters.
    ///
    /// Where nothing changes nothing is said again, except what keeps the proxy out.
    pub fn warnings(&self) -> Vec<String> {
        match self {
            Self::Inject { report, .. } => report.notes.iter().map(|note| warning(&note.to_string())).collect(),
            Self::Skip { reason, .. } => vec![warning(&format!("not injected: {reason}"))],
            Self::Invalid { faults, .. } => first(faults),
            Self::NotAsked | Self::Unchanged { .. } | Self::Owned | Self::Remove { .. } | Self::Unreadable(_) => {
                Vec::new()
            }
        }
    }
}

/// Warnings for the first faults: the API server cuts what is longer than 4096 characters in all.
fn first(faults: &Faults) -> Vec<String> {
    let mut warnings: Vec<String> = faults.iter().take(MOST_FAULTS).map(|fault| warning(&fault.to_string())).collect();
    if let Some(more @ 1..) = faults.iter().len().checked_sub(MOST_FAULTS) {
        warnings.push(warning(&format!("{more} more faults")));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use settings::Fault;

    use super::*;

    #[test]
    fn a_flood_of_faults_is_counted() {
        let faults = (0..1000).map(|n| Fault::missing(format!("evenkeel.dev/{n}"), "x")).collect();
        let faults = Faults::none_or(faults).unwrap_err();
        let warnings = Outcome::Invalid { faults, patch: Patch::default() }.warnings();
        assert_eq!((warnings.len(), warnings[20].as_str()), (21, "evenkeel: 980 more faults"));
    }

    #[test]
    fn no_reason_is_cut() {
        for reason in SkipReason::ALL {
            let outcome = Outcome::Skip { reason: *reason, patch: Patch::default() };
            assert_eq!(outcome.warnings(), [format!("evenkeel: not injected: {}", reason.sentence())]);
            assert_eq!(outcome.patch(), None);
        }
    }
}
