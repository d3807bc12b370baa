//! The wall clock, of which sequence numbers are made.

use std::time::{Duration, SystemTime};

/// Tells the time since the epoch; a test's tells what the test says.
#[derive(Clone, Copy, Debug)]
pub struct Clock(fn() -> Duration);

impl Clock {
    /// Returns the machine's clock.
    #[expect(clippy::disallowed_methods, reason = "the one place where the balancer reads the wall clock")]
    pub const fn system() -> Self {
        // A clock before 1970 counts as 1970: the numbers rise from the last that pods report.
        Self(|| SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
    }

    /// Returns a clock that shows what `tell` returns.
    pub const fn new(tell: fn() -> Duration) -> Self {
        Self(tell)
    }

    /// Returns the time since the epoch.
    pub fn since_epoch(self) -> Duration {
        (self.0)()
    }
}
