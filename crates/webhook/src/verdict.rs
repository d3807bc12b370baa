//! The verdict on a review, for metrics and logs.

use inject::{Decision, SkipReason};
use labels::labels;

/// The verdict on a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The object was parsed, and injection decided.
    Decided(Decision, Option<SkipReason>),
    /// The object was admitted without parsing it.
    Passed(Passed),
    /// The webhook panicked, and the object was admitted unchanged.
    Panicked,
    /// The request was refused, because its body was not a review.
    Refused(Refused),
}

labels!(
    /// Why an object is admitted without parsing it. The sentences have no full stop.
    pub Passed {
        /// neither CREATE nor UPDATE, or UPDATE of a Pod, whose containers cannot change
        Operation = "operation",
        /// a subresource, such as scale or status
        Subresource = "subresource",
        /// not a kind of workload that is injected
        Kind = "kind",
        /// a review without an object
        NoObject = "no_object",
        /// an object that is not JSON of reasonable depth and size
        Unparsable = "unparsable",
        /// too many objects came at once
        Busy = "busy",
    }
);

labels!(
    /// Why a request is not answered with a review. The sentences have no full stop.
    pub Refused {
        /// the body is not an admission review
        Malformed = "malformed",
        /// the body is larger than 3 MiB
        TooLarge = "too_large",
        /// the body did not arrive in time
        TimedOut = "timed_out",
        /// the connection failed before the body was complete
        Broken = "broken",
    }
);

impl Passed {
    /// Returns a warning for the author of an object that may have asked for the proxy; at most 110 characters.
    pub(crate) fn warning(self) -> Option<&'static str> {
        match self {
            Self::Operation | Self::Subresource | Self::Kind | Self::NoObject => None,
            Self::Unparsable => Some("not injected: the object is too large, or nested too deep, to be parsed"),
            Self::Busy => Some("not injected: too many objects came at once; apply it again, or restart its rollout"),
        }
    }
}

impl Verdict {
    /// Returns the label `decision` in metrics and logs.
    pub fn decision(self) -> &'static str {
        match self {
            Self::Decided(decision, _) => decision.label(),
            Self::Passed(_) => "passed",
            Self::Panicked => "panicked",
            Self::Refused(_) => "refused",
        }
    }

    /// Returns the label `reason` in metrics and logs.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Decided(_, Some(reason)) => reason.label(),
            Self::Passed(reason) => reason.label(),
            Self::Refused(reason) => reason.label(),
            Self::Decided(_, None) | Self::Panicked => "none",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn labels_of_verdicts_are_distinct() {
        let decided = Decision::ALL.iter().map(|decision| Verdict::Decided(*decision, None));
        let skipped = SkipReason::ALL.iter().map(|reason| Verdict::Decided(Decision::Skipped, Some(*reason)));
        let passed = Passed::ALL.iter().map(|reason| Verdict::Passed(*reason));
        let refused = Refused::ALL.iter().map(|reason| Verdict::Refused(*reason));
        let all: Vec<Verdict> =
            decided.chain(skipped).chain(passed).chain(refused).chain([Verdict::Panicked]).collect();
        let labels: BTreeSet<_> = all.iter().map(|verdict| (verdict.decision(), verdict.reason())).collect();
        assert_eq!(labels.len(), all.len());
    }
}
