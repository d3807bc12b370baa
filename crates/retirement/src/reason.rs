//! The reasons for which a connection is retired.

use labels::labels;

labels!(
    /// The reason for which a connection was retired: a log field and a metric label.
    pub RetireReason {
        /// It has reached its limit of requests.
        MaxRequests = "max_requests",
        /// It has reached its maximum age.
        MaxAge = "max_age",
        /// The pod is being terminated.
        Drain = "drain",
        /// The pod has more than its share of the load.
        Balance = "balance",
    }
);
