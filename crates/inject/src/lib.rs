//! Injection of the recycling proxy into a workload, as a pure function on raw JSON.
//!
//! [`inject`] reads a workload as the API server or a manifest has it and answers with an [`Outcome`]: mostly a JSON
//! patch of few operations. Fields that this build does not know are never touched, and nothing here reads a clock, a
//! file or the network.

mod decide;
mod kind;
mod outcome;
mod report;
mod skip;
mod template;

pub use decide::inject;
pub use kind::WorkloadKind;
pub use outcome::{Decision, Outcome};
pub use report::{Note, Report};
pub use skip::SkipReason;
pub use template::Unreadable;
