//! The pod template of a workload.

/// Where an object is not of the form that its kind has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at} is not readable: expected {expected}")]
pub struct Unreadable {
    /// A JSON pointer.
    pub at: String,
    /// What the kind has there.
    pub expected: &'static str,
}
