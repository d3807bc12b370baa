//! How often the pods of a workload are asked.

use std::time::Duration;

use balancing::Interval;

/// For so long after a change of the settled pods their workload is asked every second.
const CHANGE_LASTS: Duration = Duration::from_mins(1);

/// What the pace depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Activity {
    /// Whether any pod carries requests.
    pub has_load: bool,
    /// Whether some settled pod is above the tolerance.
    pub is_uneven: bool,
    /// The time since the settled pods have changed.
    pub since_change: Duration,
}

/// Returns how often a workload is asked: every second while it is uneven or has changed a minute ago, every 5 s otherwise, every
/// 15 s without load.
pub(super) fn interval(activity: Activity) -> Interval {
    let Activity { has_load, is_uneven, since_change } = activity;
    if !has_load {
        Interval::WITHOUT_LOAD
    } else if is_uneven || since_change < CHANGE_LASTS {
        Interval::IN_A_WAVE
    } else {
        Interval::AT_REST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case() {
        let long = Duration::from_mins(1);
        for (has_load, is_uneven, since_change, seconds) in [
            (true, true, Duration::ZERO, 1),
            (true, true, long, 1),
            (true, false, Duration::from_millis(59_999), 1),
            (true, false, long, 5),
            (false, false, long, 15),
            (false, false, Duration::ZERO, 15),
        ] {
            let found = interval(Activity { has_load, is_uneven, since_change });
            assert_eq!(found.get(), Duration::from_secs(seconds), "{has_load} {is_uneven} {since_change:?}");
        }
    }
}
