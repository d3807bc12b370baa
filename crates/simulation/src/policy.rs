//! The settings under which connections are retired in a run.

use std::fmt;

use retirement::Limits;
use settings::{Jitter, MaxRequests, Span};

/// More requests than a connection of a run carries.
const UNLIMITED: MaxRequests = MaxRequests::new(u32::MAX).unwrap();

/// The settings of a workload that decide when its connections are retired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// `evenkeel.dev/max-requests`; without it a connection has no limit.
    pub max_requests: Option<MaxRequests>,
    /// `evenkeel.dev/jitter`.
    pub jitter: Jitter,
    /// `evenkeel.dev/max-age`.
    pub max_age: Option<Span>,
    /// `evenkeel.dev/balance`.
    pub balance: bool,
}

impl Policy {
    /// Nothing retires connections.
    pub const NOTHING: Self = Self { max_requests: None, jitter: Jitter::NONE, max_age: None, balance: false };

    /// Draws the limits of a new connection; `sample` is uniform over all of `u32`.
    pub(crate) fn draw(self, sample: u32) -> Limits {
        Limits::draw(self.max_requests.unwrap_or(UNLIMITED), self.max_age, self.jitter, sample)
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = [
            self.max_requests.map(|limit| format!("max-requests={limit}")),
            self.max_age.map(|age| format!("max-age={age}")),
            self.balance.then(|| "balance=on".to_owned()),
        ]
        .into_iter()
        .flatten()
        .collect();
        if parts.is_empty() { f.write_str("nothing") } else { f.write_str(&parts.join(" ")) }
    }
}
