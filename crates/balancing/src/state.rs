//! Whether balancing is in force in a proxy, and why not.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Defines the states; the label of each is written once.
macro_rules! states {
    ($($(#[doc = $help:literal])+ $variant:ident = $label:literal,)+) => {
        /// Whether balancing is in force in a proxy, and why not: a field of the report and a metric label.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum BalanceState {
            $($(#[doc = $help])+ #[serde(rename = $label)] $variant,)+
        }

        impl BalanceState {
            /// Every state, in the order in which they are documented.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Returns the word for it in reports, logs and metrics.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }

            /// Returns what it means, as a sentence.
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$variant => concat!($($help),+).trim_ascii(),)+ }
            }
        }
    };
}

states! {
    /// An instruction is in force: the pod retires connections while it is above the mean.
    InForce = "in_force",
    /// No instruction has come since the proxy started.
    NoInstruction = "no_instruction",
    /// The last instruction is older than three of its intervals.
    Expired = "expired",
    /// The pod is draining, which retires every connection anyway.
    Draining = "draining",
}

impl fmt::Display for BalanceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}
