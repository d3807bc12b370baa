//! The interval at which the pods of a workload are polled.

use std::time::Duration;

use balancing::Interval;

/// How long after a change of its settled pods a workload is polled every second.
const CHANGE_LASTS: Duration = Duration::from_mins(1);

/// The requests per second for which intervals at rest are chosen: four fifths of the budget, so that a queue shrinks.
const AT_REST_TARGET: u64 = 3_200;
/// In an interval above 5 s a pod gets a poll and, a second later, the instruction.
const REQUESTS_IN_A_LONG_INTERVAL: u64 = 2;

/// The figures of a workload that determine its interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Activity {
    /// Whether any pod carries requests.
    pub has_load: bool,
    /// Whether some settled pod is above the tolerance.
    pub is_uneven: bool,
    /// The time since the settled pods changed.
    pub since_change: Duration,
}

/// Returns the interval of a workload: a second while it is uneven or its pods changed less than a minute ago,
/// `at_rest` otherwise, and at least 15 s without load.
pub(super) fn interval(activity: Activity, at_rest: Interval) -> Interval {
    let Activity { has_load, is_uneven, since_change } = activity;
    if !has_load {
        at_rest.max(Interval::WITHOUT_LOAD)
    } else if is_uneven || since_change < CHANGE_LASTS {
        Interval::WHILE_LEVELLING
    } else {
        at_rest
    }
}

/// Returns the interval of workloads at rest in a cluster with `pods` balanced pods: 5 s up to 16,000 pods, then in
/// proportion to their number, and 60 s from 96,000 pods on. The price of a long interval is that skew without a scale
/// event is detected later.
pub(super) fn at_rest(pods: usize) -> Interval {
    let pods = u64::try_from(pods).unwrap_or(u64::MAX);
    if pods <= AT_REST_TARGET * Interval::AT_REST.get().as_secs() {
        return Interval::AT_REST;
    }
    let milliseconds = pods.saturating_mul(REQUESTS_IN_A_LONG_INTERVAL * 1000) / AT_REST_TARGET;
    Interval::new(Duration::from_millis(milliseconds)).unwrap_or(Interval::LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_depends_on_load_unevenness_and_time_since_a_change() {
        let long = Duration::from_mins(1);
        for (has_load, is_uneven, since_change, seconds) in [
            (true, true, Duration::ZERO, 1),
            (true, true, long, 1),
            (true, false, Duration::from_millis(59_999), 1),
            (true, false, long, 5),
            (false, false, long, 15),
            (false, false, Duration::ZERO, 15),
        ] {
            let found = interval(Activity { has_load, is_uneven, since_change }, Interval::AT_REST);
            assert_eq!(found.get(), Duration::from_secs(seconds), "{has_load} {is_uneven} {since_change:?}");
        }
    }
    #[test]
    fn workloads_at_rest_share_a_budget() {
        for (pods, millis) in [
            (0, 5_000),
            (16_000, 5_000),
            (16_001, 10_000),
            (50_000, 31_250),
            (96_000, 60_000),
            (100_000, 60_000),
            (usize::MAX, 60_000),
        ] {
            assert_eq!(at_rest(pods).get(), Duration::from_millis(millis), "{pods}");
        }
        let activity = Activity { has_load: false, is_uneven: false, since_change: Duration::ZERO };
        assert_eq!(interval(activity, at_rest(50_000)), at_rest(50_000));
        let levelling = Activity { has_load: true, ..activity };
        assert_eq!(interval(levelling, at_rest(50_000)), Interval::WHILE_LEVELLING);
    }
}
