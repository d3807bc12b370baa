//! From settings, pod and namespace to a plan.

pub(crate) mod balance;
pub(crate) mod eligibility;
pub(crate) mod fit;
pub(crate) mod interception;
pub(crate) mod liveness;
pub(crate) mod plan;
pub(crate) mod ports;
pub(crate) mod quotas;
