//! The figures of many runs of a scenario.

use crate::policy::Policy;
use crate::run::{Run, simulate};
use crate::scenario::{Scenario, count};

/// The peak-to-mean ratio up to which load counts as level.
pub const LEVEL: f64 = 1.2;

/// The number of seconds over which the ratio is averaged, so that one even second does not count as level.
const WINDOW: usize = 5;

/// The last seconds of a run, which are the period at rest.
const REST: usize = 60;

/// The median and the 90th percentile of a figure over all runs. A run in which the figure is never reached counts as
/// infinite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The 90th percentile.
    pub p90: f64,
}

/// The figures of a policy in a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// The seconds from the last event until the load is level ([`LEVEL`]) in the mean of five seconds.
    pub level_after: Spread,
    /// The peak-to-mean ratio, averaged over the last minute.
    pub peak_to_mean: Spread,
    /// The reconnects per connection from the last event to the end.
    pub reconnects: Spread,
    /// The reconnects per connection in the last minute.
    pub at_rest: Spread,
    /// The median peak-to-mean ratio of the runs for each second.
    pub course: Vec<f64>,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |part: usize| values.get((values.len() * part / 100).min(values.len().saturating_sub(1)));
        Self { median: at(50).copied().unwrap_or_default(), p90: at(90).copied().unwrap_or_default() }
    }
}

impl Figures {
    /// Runs a scenario `runs` times with the seeds `seed`, `seed` + 1 and so on, and returns the figures.
    pub fn of(scenario: &Scenario, policy: Policy, seed: u64, runs: u32) -> Self {
        let runs: Vec<Run> =
            (0..runs).map(|run| simulate(scenario, policy, seed.wrapping_add(u64::from(run)))).collect();
        let event = usize::try_from(scenario.last_event().as_secs()).unwrap_or(usize::MAX);
        let connections = count(scenario.connections());
        let spread = |figure: &dyn Fn(&Run) -> f64| Spread::of(runs.iter().map(figure).collect());
        let reconnects = |run: &Run, from: usize| {
            run.seconds.iter().skip(from).map(|second| f64::from(second.reconnects())).sum::<f64>() / connections
        };
        let rest_from = |run: &Run| run.seconds.len().saturating_sub(REST).max(event);
        Self {
            level_after: spread(&|run| level_after(run, event)),
            peak_to_mean: spread(&|run| mean(run.seconds.iter().skip(rest_from(run)).map(|s| s.peak_to_mean))),
            reconnects: spread(&|run| reconnects(run, event)),
            at_rest: spread(&|run| reconnects(run, rest_from(run))),
            course: course(&runs),
        }
    }

    /// Returns the seconds from `event`, a second of the run, until the median peak-to-mean ratio, averaged over five
    /// seconds, is at most `target`; `None` if it never is.
    pub fn reaches(&self, target: f64, event: usize) -> Option<usize> {
        reaches(&self.course, target, event)
    }
}

fn level_after(run: &Run, event: usize) -> f64 {
    let course: Vec<f64> = run.seconds.iter().map(|second| second.peak_to_mean).collect();
    reaches(&course, LEVEL, event).map_or(f64::INFINITY, count)
}

fn reaches(course: &[f64], target: f64, event: usize) -> Option<usize> {
    let since = course.get(event..)?;
    since.windows(WINDOW).position(|window| mean(window.iter().copied()) <= target)
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0), |(sum, n), value| (sum + value, n + 1));
    if n == 0 { 0.0 } else { sum / count(n) }
}

fn course(runs: &[Run]) -> Vec<f64> {
    let length = runs.iter().map(|run| run.seconds.len()).min().unwrap_or_default();
    (0..length).map(|i| Spread::of(runs.iter().map(|run| run.seconds[i].peak_to_mean).collect()).median).collect()
}
