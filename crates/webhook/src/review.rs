//! Admission reviews: from the body of a request to the body of its response.
//!
//! Every review is answered with `allowed: true`. The webhook is not a security control, and a rollout never waits for
//! it.

mod endpoint;
mod handler;
mod wire;

pub use crate::verdict::{Passed, Refused, Verdict};
pub use endpoint::{Endpoint, LARGEST_BODY, routes};
pub use handler::{Handler, Inject};
