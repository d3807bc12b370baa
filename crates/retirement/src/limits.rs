//! The limits of one connection: after which request, and at which age, it is retired.
//!
//! Pure: counts, ages and random samples come in, a verdict comes out. It is asked once per request, just before the
//! final response head is written, which is the only moment at which a connection can be retired without a loss.

use std::num::NonZero;
use std::time::Duration;

use settings::{Jitter, MaxRequests, Span};

use crate::reason::RetireReason;

/// What the rule needs to know at the moment of decision.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// How long the connection has existed; zero where its limits do not watch it.
    pub age: Duration,
    /// Whether the pod is draining.
    pub draining: bool,
    /// Whether the connection was marked, so that the pod's load comes down.
    pub marked: bool,
    /// Requests of the connection that do not count towards its limit: those before balancing ceased to be in force, for a
    /// workload whose limit holds only without it.
    pub uncounted: u32,
}

/// The limits of one connection, drawn when it was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    requests: u32,
    /// Nanoseconds: as a `Duration` it would be twice as large, and every connection has it.
    age: Option<NonZero<u64>>,
}

impl Limits {
    /// Draws limits from [N·(1−jitter), N] and [age·(1−jitter), age]; `sample` is uniform over all of `u32`.
    ///
    /// One sample for both: a connection that lives a little shorter by count may as well by age.
    pub fn draw(max_requests: MaxRequests, max_age: Option<Span>, jitter: Jitter, sample: u32) -> Self {
        let most = u64::from(max_requests.get());
        let width = most.saturating_mul(u64::from(jitter.percent())) / 100;
        // Multiply-shift: maps the sample onto 0..=width without a bias that matters at 32 bits.
        let below = width.saturating_add(1).saturating_mul(u64::from(sample)) >> 32;
        let requests = u32::try_from(most.saturating_sub(below)).unwrap_or(u32::MAX);
        Self { requests, age: max_age.map(|age| nanoseconds(draw_age(age, jitter, sample))) }
    }

    /// The number of requests after which the connection is retired.
    pub fn requests(self) -> u32 {
        self.requests
    }

    /// Whether the age of a connection matters at all; where it does not, nobody needs to ask the clock.
    pub fn watch_age(self) -> bool {
        self.age.is_some()
    }

    /// Whether a connection is retired with the response that is about to be sent, and why.
    ///
    /// Of several reasons the first in this order is given: a drain, which spares none; the connection's own limits; and
    /// last its mark, so that what is told of balancing is what would not have happened without it.
    pub fn verdict(self, requests_started: u32, moment: Moment) -> Option<RetireReason> {
        let Moment { age, draining, marked, uncounted } = moment;
        if draining {
            Some(RetireReason::Drain)
        } else if requests_started.saturating_sub(uncounted) >= self.requests {
            Some(RetireReason::MaxRequests)
        } else if self.age.is_some_and(|limit| nanoseconds(age) >= limit) {
            Some(RetireReason::MaxAge)
        } else if marked {
            Some(RetireReason::Balance)
        } else {
            None
        }
    }
}

/// From one nanosecond to 584 years.
fn nanoseconds(time: Duration) -> NonZero<u64> {
    let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    NonZero::new(nanoseconds).unwrap_or(NonZero::<u64>::MIN)
}

/// Draws an age from [age·(1−jitter), age]; `sample` is uniform over all of `u32`.
pub fn draw_age(most: Span, jitter: Jitter, sample: u32) -> Duration {
    let shortening = f64::from(jitter.percent()) / 100.0 * f64::from(sample) / f64::from(u32::MAX);
    most.get().mul_f64(1.0 - shortening)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limits(max_requests: u32, max_age: Option<&str>, jitter: &str, sample: u32) -> Limits {
        let max_age = max_age.map(|age| age.parse().unwrap());
        Limits::draw(MaxRequests::new(max_requests).unwrap(), max_age, jitter.parse().unwrap(), sample)
    }

    fn at(age: Duration, draining: bool) -> Moment {
        Moment { age, draining, marked: false, uncounted: 0 }
    }

    #[test]
    fn without_jitter_the_limit_is_exact() {
        for sample in [0, 1, u32::MAX / 2, u32::MAX] {
            let limits = limits(10, None, "0%", sample);
            assert_eq!(limits.verdict(9, at(Duration::ZERO, false)), None);
            assert_eq!(limits.verdict(10, at(Duration::ZERO, false)), Some(RetireReason::MaxRequests));
            assert_eq!(limits.verdict(11, at(Duration::ZERO, false)), Some(RetireReason::MaxRequests));
        }
    }

    #[test]
    fn both_ends_of_the_range_are_drawn() {
        assert_eq!(limits(1000, None, "10%", 0).requests(), 1000);
        assert_eq!(limits(1000, None, "10%", u32::MAX).requests(), 900);
        assert_eq!(limits(1, None, "50%", u32::MAX).requests(), 1);
        assert_eq!(limits(2, None, "50%", u32::MAX).requests(), 1);
    }

    #[test]
    fn age_counts_with_the_first_response_after_it() {
        let limits = limits(1000, Some("10s"), "0%", 7);
        assert!(limits.watch_age());
        assert_eq!(limits.verdict(1, at(Duration::from_millis(9_999), false)), None);
        assert_eq!(limits.verdict(1, at(Duration::from_secs(10), false)), Some(RetireReason::MaxAge));
    }

    #[test]
    fn requests_that_do_not_count_begin_the_limit_anew() {
        let limits = limits(10, Some("10s"), "0%", 0);
        for (requests, uncounted, reason) in [
            (10, 0, Some(RetireReason::MaxRequests)),
            (10, 1, None),
            (1_000, 991, None),
            (1_000, 990, Some(RetireReason::MaxRequests)),
            (u32::MAX, u32::MAX, None),
            // Told of more than there were.
            (5, 7, None),
        ] {
            let moment = Moment { uncounted, ..at(Duration::ZERO, false) };
            assert_eq!(limits.verdict(requests, moment), reason, "{requests} {uncounted}");
        }
        let old = Moment { uncounted: u32::MAX, ..at(Duration::from_secs(10), false) };
        assert_eq!(limits.verdict(1, old), Some(RetireReason::MaxAge));
    }

    #[test]
    fn a_drain_retires_everything() {
        assert_eq!(limits(1000, None, "0%", 0).verdict(1, at(Duration::ZERO, true)), Some(RetireReason::Drain));
    }

    #[test]
    fn a_mark_retires_what_nothing_else_would() {
        let limits = limits(2, Some("10s"), "0%", 0);
        for (requests, seconds, draining, reason) in [
            (1, 0, false, RetireReason::Balance),
            (2, 0, false, RetireReason::MaxRequests),
            (1, 10, false, RetireReason::MaxAge),
            (2, 10, true, RetireReason::Drain),
        ] {
            let moment = Moment { age: Duration::from_secs(seconds), draining, marked: true, uncounted: 0 };
            assert_eq!(limits.verdict(requests, moment), Some(reason));
        }
    }

    proptest! {
        #[test]
        fn limits_stay_in_their_range(n in 1u32.., percent in 0u8..=50, sample: u32, age in 1u64..1_000_000_000) {
            let limits = limits(n, Some(&format!("{age}ms")), &format!("{percent}%"), sample);
            let lowest = f64::from(n) * (1.0 - f64::from(percent) / 100.0);
            prop_assert!(limits.requests() >= 1 && limits.requests() <= n);
            prop_assert!(f64::from(limits.requests()) >= lowest.floor());
            let drawn = Duration::from_nanos(limits.age.unwrap().get());
            let age = Duration::from_millis(age);
            let slack = Duration::from_micros(1);
            prop_assert!(drawn <= age + slack && drawn + slack >= age * u32::from(100 - percent) / 100);
        }
    }
}
