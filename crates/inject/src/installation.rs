//! The configuration of an installation that applies to every workload.

use std::collections::BTreeMap;

use settings::BalanceKeys;

/// The configuration of an installation that applies to every workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Installation {
    /// Defaults of settings, by annotation name without the prefix.
    pub defaults: BTreeMap<String, String>,
    /// The public keys of its balancer; `None` if there is no balancer, or its keys are not known.
    pub balance_keys: Option<BalanceKeys>,
}

impl From<BTreeMap<String, String>> for Installation {
    fn from(defaults: BTreeMap<String, String>) -> Self {
        Self { defaults, balance_keys: None }
    }
}
