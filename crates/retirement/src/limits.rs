//! The limits of one connection: the number of requests and the age at which it is retired.
//!
//! They are checked once per request, just before the final response head is written. Only then can a connection be
//! retired without losing a request: the head can carry `Connection: close` or precede a GOAWAY.

use std::num::NonZero;
use std::time::Duration;

use settings::{Jitter, MaxRequests, Span};

use crate::reason::RetireReason;

/// The state of a connection and its pod when the limits are checked.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionState {
    /// The age of the connection; zero if its limits have no [age](Limits::has_age).
    pub age: Duration,
    /// Whether the pod is draining.
    pub draining: bool,
    /// Whether balancing has marked the connection to reduce the pod's load.
    pub marked: bool,
    /// The requests of the connection that do not count towards its limit. If the limit of a workload applies only
    /// while balancing is not in force, these are the requests before balancing ceased to be.
    pub uncounted: u32,
}

/// The limits of one connection, drawn when it was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    requests: u32,
    /// Nanoseconds, to save memory per connection: a `Duration` is twice as large.
    age: Option<NonZero<u64>>,
}

impl Limits {
    /// Draws limits from [N·(1−jitter), N] and [age·(1−jitter), age]. `sample` is uniform over all of `u32`, and used
    /// for both.
    pub fn draw(max_requests: MaxRequests, max_age: Option<Span>, jitter: Jitter, sample: u32) -> Self {
        let most = u64::from(max_requests.get());
        let width = most.saturating_mul(u64::from(jitter.percent())) / 100;
        // Multiply-shift maps the sample to 0..=width. Its bias is at most width / 2^32.
        let below = width.saturating_add(1).saturating_mul(u64::from(sample)) >> 32;
        let requests = u32::try_from(most.saturating_sub(below)).unwrap_or(u32::MAX);
        Self { requests, age: max_age.map(|age| nanoseconds(draw_age(age, jitter, sample))) }
    }

    /// Returns the number of requests after which the connection is retired.
    pub fn requests(self) -> u32 {
        self.requests
    }

    /// Returns whether there is a limit of age. Without one, the caller need not read the clock.
    pub fn has_age(self) -> bool {
        self.age.is_some()
    }

    /// Returns why the connection is retired with the response that is about to be sent; `None` if it is not.
    ///
    /// Of several reasons it returns the first in this order: drain, the connection's own limits, its mark. So the
    /// metrics of balancing count only connections that nothing else would have retired.
    pub fn verdict(self, requests_started: u32, state: ConnectionState) -> Option<RetireReason> {
        let ConnectionState { age, draining, marked, uncounted } = state;
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

/// Converts to nanoseconds, within one nanosecond and 584 years.
fn nanoseconds(time: Duration) -> NonZero<u64> {
    let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    NonZero::new(nanoseconds).unwrap_or(NonZero::<u64>::MIN)
}

/// Draws an age from [most·(1−jitter), most]. `sample` is uniform over all of `u32`.
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

    fn at(age: Duration, draining: bool) -> ConnectionState {
        ConnectionState { age, draining, marked: false, uncounted: 0 }
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
    fn limits_are_drawn_from_the_whole_range_of_the_jitter() {
        assert_eq!(limits(1000, None, "10%", 0).requests(), 1000);
        assert_eq!(limits(1000, None, "10%", u32::MAX).requests(), 900);
        assert_eq!(limits(1, None, "50%", u32::MAX).requests(), 1);
        assert_eq!(limits(2, None, "50%", u32::MAX).requests(), 1);
    }

    #[test]
    fn max_age_retires_with_the_first_response_after_it() {
        let limits = limits(1000, Some("10s"), "0%", 7);
        assert!(limits.has_age());
        assert_eq!(limits.verdict(1, at(Duration::from_millis(9_999), false)), None);
        assert_eq!(limits.verdict(1, at(Duration::from_secs(10), false)), Some(RetireReason::MaxAge));
    }

    #[test]
    fn uncounted_requests_do_not_count_towards_the_limit() {
        let limits = limits(10, Some("10s"), "0%", 0);
        for (requests, uncounted, reason) in [
            (10, 0, Some(RetireReason::MaxRequests)),
            (10, 1, None),
            (1_000, 991, None),
            (1_000, 990, Some(RetireReason::MaxRequests)),
            (u32::MAX, u32::MAX, None),
            // More than there were.
            (5, 7, None),
        ] {
            let state = ConnectionState { uncounted, ..at(Duration::ZERO, false) };
            assert_eq!(limits.verdict(requests, state), reason, "{requests} {uncounted}");
        }
        let old = ConnectionState { uncounted: u32::MAX, ..at(Duration::from_secs(10), false) };
        assert_eq!(limits.verdict(1, old), Some(RetireReason::MaxAge));
    }

    #[test]
    fn a_drain_retires_everything() {
        assert_eq!(limits(1000, None, "0%", 0).verdict(1, at(Duration::ZERO, true)), Some(RetireReason::Drain));
    }

    #[test]
    fn a_marked_connection_is_retired() {
        let limits = limits(2, Some("10s"), "0%", 0);
        for (requests, seconds, draining, reason) in [
            (1, 0, false, RetireReason::Balance),
            (2, 0, false, RetireReason::MaxRequests),
            (1, 10, false, RetireReason::MaxAge),
            (2, 10, true, RetireReason::Drain),
        ] {
            let state = ConnectionState { age: Duration::from_secs(seconds), draining, marked: true, uncounted: 0 };
            assert_eq!(limits.verdict(requests, state), Some(reason));
        }
    }

    proptest! {
        #[test]
        fn drawn_limits_stay_in_the_range_of_the_jitter(n in 1u32.., percent in 0u8..=50, sample: u32, age in 1u64..1_000_000_000) {
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
