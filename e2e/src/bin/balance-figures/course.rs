//! The busiest pod against the mean, second by second.

use std::collections::BTreeMap;
use std::sync::Arc;

use e2e::Event;
use tokio::time::Instant;

/// The ratio of the busiest pod to the mean pod up to which load counts as level.
pub(crate) const LEVEL: f64 = 1.2;

/// The seconds over which answers are counted.
const WINDOW: usize = 5;

/// A response of a pod, with its time in seconds after the pods changed.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    at: f64,
    pod: Arc<str>,
}

/// Returns the responses from `from` on.
pub(crate) fn answers(events: &[Event], from: Instant) -> Vec<Answered> {
    let since = events.iter().filter(|event| event.at >= from);
    let answers = since.filter_map(|event| Some((event.at, event.outcome.as_ref().ok()?)));
    answers.map(|(at, answer)| Answered { at: (at - from).as_secs_f64(), pod: Arc::clone(&answer.pod) }).collect()
}

/// Returns, for each second from 0 on, the answers of the busiest of the `pods` against their mean in the five seconds
/// that begin there; the last one ends at `seconds`. 1 is level.
pub(crate) fn course(answers: &[Answered], pods: &[String], seconds: usize) -> Vec<f64> {
    let mut counts: BTreeMap<&str, Vec<f64>> = pods.iter().map(|pod| (pod.as_str(), vec![0.0; seconds])).collect();
    for answer in answers {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a run, from 0")]
        let second = answer.at as usize;
        if let Some(count) = counts.get_mut(&*answer.pod).and_then(|counts| counts.get_mut(second)) {
            *count += 1.0;
        }
    }
    let windows = (seconds + 1).saturating_sub(WINDOW);
    (0..windows)
        .map(|from| peak_to_mean(counts.values().map(|counts| counts[from..from + WINDOW].iter().sum())))
        .collect()
}

/// Returns the first second of a course from which the load is level for five seconds.
pub(crate) fn level_after(course: &[f64]) -> Option<usize> {
    course.iter().position(|peak| *peak <= LEVEL)
}

/// Returns the mean of numbers; 0 without numbers.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0.0), |(sum, n), value| (sum + value, n + 1.0));
    if n > 0.0 { sum / n } else { 0.0 }
}

fn peak_to_mean(loads: impl Iterator<Item = f64> + Clone) -> f64 {
    let mean = mean(loads.clone());
    if mean > 0.0 { loads.fold(0.0, f64::max) / mean } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(at: f64, pod: &str) -> Answered {
        Answered { at, pod: pod.into() }
    }

    #[test]
    fn the_busiest_pod_is_compared_with_the_mean_of_all() {
        let pods = ["a".to_owned(), "b".to_owned()];
        let of_one: Vec<_> = (0..4).map(|second| answered(f64::from(second), "a")).collect();
        let of_both: Vec<_> =
            (4..10).flat_map(|second| ["a", "b"].map(|pod| answered(f64::from(second), pod))).collect();
        let course = course(&[of_one, of_both].concat(), &pods, 10);
        assert_eq!(course.len(), 6);
        assert!((course[0] - 5.0 / 3.0).abs() < 1e-9, "five answers of a, one of b: {course:?}");
        assert!((course[5] - 1.0).abs() < 1e-9, "{course:?}");
        assert_eq!(level_after(&course), Some(3), "five of a and four of b are 1.11: {course:?}");
    }

    #[test]
    fn deleted_pods_are_ignored() {
        let course = course(&[answered(0.5, "a"), answered(1.5, "gone")], &["a".to_owned()], 5);
        assert_eq!(course, [1.0]);
    }

    #[test]
    fn load_may_be_level_at_once_or_never() {
        assert_eq!(level_after(&[2.0, 1.3]), None);
        assert_eq!(level_after(&[1.2]), Some(0));
    }
}
