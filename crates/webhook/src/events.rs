//! Events on workloads that ask for the proxy: what became of them, for those who were not there when kubectl printed it.
//!
//! A review must have no side effect, so Events come from a [`Watch`] beside it: it sees what is stored, asks the same
//! function that reviews ask what it would do now, and tells what there is to tell. Of all workloads it reads the names and our
//! annotations, and of those that ask all, one after the other.
//!
//! Every replica watches, and there is no leader. An Event's name is made from what it tells, so of two replicas that tell
//! the same the API server takes one. Nothing of an object is kept but a few numbers for each workload that asks.

mod fetch;
mod memory;
mod notice;
mod publish;
mod watch;

pub use crate::occasion::Occasion;
pub use watch::Watch;
