//! Events on workloads that ask for the proxy: whether it was injected, for those who did not see kubectl's warnings.
//!
//! A review must have no side effect, so a [`Watch`] publishes Events: it reads stored workloads, asks the injection
//! function what it would do now, and publishes the result. It reads names and our annotations of all workloads, and
//! whole objects, one at a time, of those that ask for the proxy.
//!
//! Every replica watches; there is no leader. The name of an Event is a hash of what it says, so the API server accepts
//! it from one replica only. A replica keeps a few numbers for each workload that asks.

mod fetch;
mod notice;
mod publish;
mod seen;
mod watch;

pub use crate::event_reason::EventReason;
pub use watch::Watch;
