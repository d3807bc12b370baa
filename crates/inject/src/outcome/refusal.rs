//! Why a workload is not injected, although its annotations ask for it.

use settings::Faults;

use crate::outcome::skip::SkipReason;

/// Why a workload that asked for the proxy does not get it.
#[derive(Debug)]
pub(crate) enum Refusal {
    Skip(SkipReason),
    Invalid(Faults),
}

impl From<SkipReason> for Refusal {
    fn from(reason: SkipReason) -> Self {
        Self::Skip(reason)
    }
}

impl From<Faults> for Refusal {
    fn from(faults: Faults) -> Self {
        Self::Invalid(faults)
    }
}
