//! Makes a plan from settings, pod and namespace.

pub(crate) mod balance;
pub(crate) mod eligibility;
pub(crate) mod fit;
pub(crate) mod interception;
pub(crate) mod liveness;
pub(crate) mod plan;
mod port_naming;
pub(crate) mod ports;
pub(crate) mod quotas;
