//! What became of a review, for metrics and logs.

use inject::{Decision, SkipReason};

/// What became of a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The object was looked at.
    Decided(Decision, Option<SkipReason>),
    /// Admitted without a look at the object.
    Passed(Passed),
    /// A defect of ours: admitted unchanged.
    Panicked,
    /// Not answered: the body was no review.
    Refused(Refused),
}

/// Defines an enum of reasons; label and sentence are written once.
macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($variant:ident: $label:literal, $sentence:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $(#[doc = $sentence] $variant,)+
        }

        impl $name {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The label in metrics and logs.
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

reasons! {
    /// Why an object is admitted without a look at it.
    Passed {
        Operation: "operation", "neither CREATE nor UPDATE, or the UPDATE of a Pod, whose containers are settled";
        Subresource: "subresource", "a subresource, such as scale or status";
        Kind: "kind", "not a kind of workload that is injected";
        NoObject: "no_object", "a review without an object";
        Unparsable: "unparsable", "an object that is not JSON of reasonable depth and size";
        Busy: "busy", "too many objects came at once";
    }
}

reasons! {
    /// Why a request is not answered with a review.
    Refused {
        Malformed: "malformed", "the body is no admission review";
        TooLarge: "too_large", "the body is larger than 3 MiB";
        TimedOut: "timed_out", "the body did not arrive in time";
        Broken: "broken", "the body broke off";
    }
}

impl Passed {
    /// What the author of an object should know that may have asked for the proxy; at most 110 characters.
    pub(crate) fn warning(self) -> Option<&'static str> {
        match self {
            Self::Operation | Self::Subresource | Self::Kind | Self::NoObject => None,
            Self::Unparsable => Some("not injected: the object is too large, or nested too deep, to be looked at"),
            Self::Busy => Some("not injected: too many objects came at once; apply it again, or restart its rollout"),
        }
    }
}

impl Verdict {
    /// The label `decision` in metrics and logs.
    pub fn decision(self) -> &'static str {
        match self {
            Self::Decided(decision, _) => decision.label(),
            Self::Passed(_) => "passed",
            Self::Panicked => "panicked",
            Self::Refused(_) => "refused",
        }
    }

    /// The label `reason` in metrics and logs.
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
    fn no_two_verdicts_share_their_labels() {
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
