//! Lengths of time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::InvalidValue;

/// A length of time from 1 ms to 365 days, written with units: `20s`, `1h30m`, `500ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(Duration);

const LONGEST: Duration = Duration::from_hours(365 * 24);

impl Span {
    /// Returns `None` where `duration` is outside 1 ms to 365 days. Parts of a millisecond are dropped.
    pub fn new(duration: Duration) -> Option<Self> {
        let millis = u64::try_from(duration.as_millis()).ok()?;
        (millis > 0 && duration <= LONGEST).then(|| Self(Duration::from_millis(millis)))
    }

    /// Returns the length of time.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl FromStr for Span {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        // humantime also takes "20 seconds" and "1 h"; one way to write a value is enough.
        let compact = text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase());
        compact
            .then(|| humantime::parse_duration(text).ok())
            .flatten()
            .and_then(Self::new)
            .ok_or(InvalidValue("a duration with units from 1ms to 365d, such as 20s, 500ms or 1h30m"))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The largest unit that divides: what users write is mostly what they read back.
        let millis = self.0.as_millis();
        for (unit, suffix) in [(3_600_000, "h"), (60_000, "m"), (1_000, "s")] {
            if millis.is_multiple_of(unit) {
                return write!(f, "{}{suffix}", millis / unit);
            }
        }
        write!(f, "{millis}ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_survive_a_round_trip() {
        for (text, shown) in [("20s", "20s"), ("500ms", "500ms"), ("1h30m", "90m"), ("120s", "2m"), ("365d", "8760h")] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), shown);
            assert_eq!(shown.parse::<Span>(), text.parse::<Span>());
        }
    }

    #[test]
    fn spans_without_a_unit_or_length_are_refused() {
        for bad in ["", "0", "0s", "20", "-1s", "1.5s", "20 s", "s", "366d", "99999999999999999999s", "20S", "1us"] {
            assert!(bad.parse::<Span>().is_err(), "{bad:?}");
        }
    }
}
