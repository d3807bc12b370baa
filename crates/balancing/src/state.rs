//! The state of balancing in a proxy.

use labels::labels;
use serde::{Deserialize, Serialize};

labels!(
    /// Whether balancing is in force in a proxy, or why not: a member of the report and a metric label.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub BalanceState {
        /// An instruction is in force: the pod retires connections while it is above the mean.
        InForce = "in_force",
        /// No instruction has arrived since the proxy started.
        NoInstruction = "no_instruction",
        /// The last instruction is older than three of its intervals.
        Expired = "expired",
        /// The pod is draining, which retires every connection anyway.
        Draining = "draining",
    }
);
