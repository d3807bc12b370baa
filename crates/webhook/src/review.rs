//! Admission reviews: from the body of a request to the body of its response.
//!
//! Whatever happens, what can be answered is answered `allowed: true`: this webhook improves workloads, it is no
//! security control, and a rollout never waits for it.

mod endpoint;
mod judge;
mod wire;

pub use crate::verdict::{Passed, Refused, Verdict};
pub use endpoint::{LARGEST_BODY, Reviewer, routes};
pub use judge::{Inject, Judge};
