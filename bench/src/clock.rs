//! The one place that reads the clock.

use std::time::Instant;

/// A benchmark measures real time; nothing here is ever run on a paused clock.
#[expect(clippy::disallowed_methods, reason = "the one home of the clock in this crate")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
