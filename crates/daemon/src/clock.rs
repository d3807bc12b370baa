//! The wall clock.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The wall clock. Tests use one with a time of their own.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    /// Returns the machine's clock.
    #[expect(clippy::disallowed_methods, reason = "the one place where programs read the wall clock")]
    pub fn system() -> Self {
        Self(Arc::new(SystemTime::now))
    }

    /// Returns a clock that shows what `tell` returns.
    pub fn new(tell: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// Returns the time.
    pub fn now(&self) -> SystemTime {
        (self.0)()
    }

    /// Returns the time since 1970. A clock that shows an earlier time counts as 1970.
    pub fn since_epoch(&self) -> Duration {
        self.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_before_1970_counts_as_1970() {
        let (second, epoch) = (Duration::from_secs(1), SystemTime::UNIX_EPOCH);
        for (now, expected) in [(epoch + second, second), (epoch, Duration::ZERO), (epoch - second, Duration::ZERO)] {
            assert_eq!(Clock::new(move || now).since_epoch(), expected);
        }
    }
}
