//! What many runs of a scenario say.

use std::time::Duration;

use crate::policy::Policy;
use crate::run::{Run, simulate};
use crate::scenario::{Scenario, count};

/// The ratio of the busiest pod to the mean pod up to which load counts as level.
pub const LEVEL: f64 = 1.2;

/// The last seconds of a run, in which it is asked whether connections are at rest.
const REST: usize = 60;

/// The median and the 90th percentile of a figure over all runs; infinite where so many runs never had it.
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
    /// The seconds from the last event until the load is level ([`LEVEL`]).
    pub level_after: Spread,
    /// The busiest pod by the mean pod, averaged over the last minute.
    pub peak_to_mean: Spread,
    /// The reconnects of a connection from the last event to the end.
    pub reconnects: Spread,
    /// The reconnects of a connection in the last minute.
    pub at_rest: Spread,
    /// The busiest pod by the mean pod, second by second, in the median of the runs.
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
    /// Runs a scenario under a policy `runs` times, each with a seed of its own that follows from `seed`.
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

    /// Returns whether the load is level within `within` of the last event in half of the runs.
    pub fn levels_within(&self, within: Duration) -> bool {
        self.level_after.median <= within.as_secs_f64()
    }
}

fn level_after(run: &Run, event: usize) -> f64 {
    let found = run.seconds.iter().skip(event).position(|second| second.peak_to_mean <= LEVEL);
    found.map_or(f64::INFINITY, count)
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0), |(sum, n), value| (sum + value, n + 1));
    if n == 0 { 0.0 } else { sum / count(n) }
}

fn course(runs: &[Run]) -> Vec<f64> {
    let length = runs.iter().map(|run| run.seconds.len()).min().unwrap_or_default();
    (0..length).map(|i| Spread::of(runs.iter().map(|run| run.seconds[i].peak_to_mean).collect()).median).collect()
}
