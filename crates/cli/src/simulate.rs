//! `evenkeel simulate`: how level and how fast, for given clients, rates, pods and settings.

mod arguments;
mod json;
mod plot;
mod table;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use settings::{EXIT_USAGE, MaxRequests};
use simulation::{Figures, Policy, Scenario};

pub(crate) use arguments::Args;

/// The thresholds that a comparison tries, from the most reconnects to the fewest.
const THRESHOLDS: [u32; 7] = [10, 20, 50, 100, 500, 1000, 10_000];

/// The time within which a recommended threshold brings the load to what thresholds can reach, in seconds.
const SOON: usize = 30;

/// How far above what random landing gives counts as reached.
const NEARLY: f64 = 1.1;

/// A policy and its result.
struct Row {
    policy: Policy,
    figures: Figures,
}

/// Simulates, and prints the figures.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let scenario = args.scenario();
    let faults = scenario.faults();
    if !faults.is_empty() {
        for fault in faults {
            eprintln!("error: {fault}");
        }
        return Ok(ExitCode::from(EXIT_USAGE));
    }
    let rows: Vec<Row> = policies(args)
        .into_iter()
        .map(|policy| Row { policy, figures: Figures::of(&scenario, policy, args.seed, args.runs) })
        .collect();
    let text = if args.json {
        json::document(&scenario, args, &rows).to_string()
    } else {
        table::text(&scenario, args, &rows)
    };
    writeln!(io::stdout().lock(), "{text}").context("standard output cannot be written")?;
    if let Some(path) = &args.svg {
        let picture = plot::svg(&scenario, &rows)?;
        std::fs::write(path, picture).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The one policy that was asked for, beside doing nothing; or a choice of thresholds, and balancing.
fn policies(args: &Args) -> Vec<Policy> {
    let asked = args.policy();
    if asked != Policy::NOTHING {
        return vec![Policy::NOTHING, asked];
    }
    let threshold = |limit| Policy { max_requests: MaxRequests::new(limit), jitter: args.jitter, ..Policy::NOTHING };
    let mut policies = vec![Policy::NOTHING];
    policies.extend(THRESHOLDS.map(threshold));
    policies.push(Policy { balance: true, ..Policy::NOTHING });
    policies
}

/// The result of a comparison of thresholds.
struct Advice<'a> {
    /// The lowest ratio of the busiest pod to the mean pod that a threshold keeps: connections land at random.
    best: f64,
    /// The highest threshold that comes near it soon, which costs the fewest reconnects.
    recommended: Option<&'a Row>,
}

impl Advice<'_> {
    /// Returns the advice, where more than one threshold was compared.
    fn of<'a>(scenario: &Scenario, rows: &'a [Row]) -> Option<Advice<'a>> {
        let thresholds: Vec<&Row> =
            rows.iter().filter(|row| row.policy.max_requests.is_some() && !row.policy.balance).collect();
        if thresholds.len() < 2 {
            return None;
        }
        let best = thresholds.iter().map(|row| row.figures.peak_to_mean.median).fold(f64::INFINITY, f64::min);
        let event = usize::try_from(scenario.last_event().as_secs()).unwrap_or(usize::MAX);
        let soon = |row: &&Row| row.figures.reaches(best * NEARLY, event).is_some_and(|seconds| seconds <= SOON);
        let recommended = thresholds.into_iter().filter(soon).max_by_key(|row| row.policy.max_requests);
        Some(Advice { best, recommended })
    }
}

/// Returns how often a connection reconnects per hour at rest.
fn reconnects_per_hour(figures: &Figures, scenario: &Scenario) -> f64 {
    let rest = scenario.duration.saturating_sub(scenario.last_event()).min(Duration::from_mins(1));
    figures.at_rest.median * 3600.0 / rest.as_secs_f64().max(1.0)
}
