//! `evenkeel simulate`: how level and how fast, for given clients, rates, pods and settings.

mod arguments;
mod json;
mod plot;
mod table;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use settings::{EXIT_USAGE, MaxRequests};
use simulation::{Figures, Policy, Scenario};

pub(crate) use arguments::Args;

/// The thresholds that a comparison tries, from the most reconnects to the fewest.
const THRESHOLDS: [u32; 7] = [10, 20, 50, 100, 500, 1000, 10_000];

/// The time within which a recommended threshold levels the load, in half of the runs.
const SOON: Duration = Duration::from_secs(30);

/// A policy and what came of it.
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
            eprintln!("evenkeel simulate: {fault}");
        }
        return Ok(ExitCode::from(EXIT_USAGE));
    }
    let rows: Vec<Row> = policies(args)
        .into_iter()
        .map(|policy| Row { policy, figures: Figures::of(&scenario, policy, args.seed, args.runs) })
        .collect();
    if args.json {
        println!("{}", json::document(&scenario, args, &rows));
    } else {
        println!("{}", table::text(&scenario, args, &rows));
    }
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

/// Returns the highest threshold of a comparison that levels the load soon: it costs the fewest reconnects.
fn recommended(rows: &[Row]) -> Option<&Row> {
    let thresholds = rows.iter().filter(|row| row.policy.max_requests.is_some() && !row.policy.balance);
    thresholds.filter(|row| row.figures.levels_within(SOON)).max_by_key(|row| row.policy.max_requests)
}

/// Returns how often a connection reconnects per hour at rest.
fn reconnects_per_hour(figures: &Figures, scenario: &Scenario) -> f64 {
    let rest = scenario.duration.saturating_sub(scenario.last_event()).min(Duration::from_mins(1));
    figures.at_rest.median * 3600.0 / rest.as_secs_f64().max(1.0)
}
