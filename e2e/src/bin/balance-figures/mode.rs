//! The modes that are compared: what retires connections.

use std::fmt;

use e2e::Web;
use settings::Annotation;

/// The modes that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// No proxy: connections stay on their pods.
    Nothing,
    /// `evenkeel.dev/max-requests` alone.
    Threshold(u32),
    /// `evenkeel.dev/balance: on` alone.
    Balance,
}

impl Mode {
    /// All that are compared, in the order of the tables.
    pub(crate) const ALL: [Self; 4] = [Self::Nothing, Self::Threshold(1000), Self::Threshold(20), Self::Balance];

    /// Annotates a workload.
    pub(crate) fn annotate(self, web: Web) -> Web {
        match self {
            Self::Nothing => web,
            Self::Threshold(limit) => web.annotation(Annotation::MaxRequests.key(), &limit.to_string()),
            Self::Balance => web.annotation(Annotation::Balance.key(), "on"),
        }
    }

    /// Returns the arguments of `evenkeel simulate` for the same mode.
    pub(crate) fn arguments(self) -> Vec<String> {
        match self {
            // Without an argument the command compares thresholds. It always prints the mode without retirement, too.
            Self::Nothing | Self::Balance => vec!["--balance".to_owned()],
            Self::Threshold(limit) => vec!["--max-requests".to_owned(), limit.to_string()],
        }
    }

    /// Returns the index of the mode among the policies that `evenkeel simulate` prints with [`Self::arguments`].
    pub(crate) const fn place(self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Threshold(_) | Self::Balance => 1,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::Threshold(limit) => write!(f, "max-requests: {limit}"),
            Self::Balance => f.write_str("balance: on"),
        }
    }
}
