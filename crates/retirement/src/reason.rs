//! Why a connection is retired.

use std::fmt;

/// Why a connection was retired: log field and metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RetireReason {
    /// It has reached its limit of requests.
    MaxRequests,
    /// It has reached its maximum age.
    MaxAge,
    /// The pod is being terminated.
    Drain,
    /// The pod has more than its share of the load.
    Balance,
}

impl RetireReason {
    /// Every reason, in the order in which they are documented.
    pub const ALL: &[Self] = &[Self::MaxRequests, Self::MaxAge, Self::Drain, Self::Balance];

    /// Returns the word for it in logs and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::MaxRequests => "max_requests",
            Self::MaxAge => "max_age",
            Self::Drain => "drain",
            Self::Balance => "balance",
        }
    }

    /// Returns what it means, as a sentence.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::MaxRequests => "It has reached its limit of requests.",
            Self::MaxAge => "It has reached its maximum age.",
            Self::Drain => "The pod is being terminated.",
            Self::Balance => "The pod has more than its share of the load.",
        }
    }
}

impl fmt::Display for RetireReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}
