//! The one place that reads the clock.

use std::time::Instant;

/// Returns the time. A benchmark measures real time, never a paused clock.
#[expect(clippy::disallowed_methods, reason = "the one home of the clock in this crate")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
