//! The figures for a program.

use serde_json::{Value, json};
use simulation::{Scenario, Spread};

use super::arguments::Args;
use super::{Advice, Row, reconnects_per_hour};

/// Returns a JSON document; a figure that most runs never had is `null`.
pub(super) fn document(scenario: &Scenario, args: &Args, rows: &[Row]) -> Value {
    json!({
        "seed": args.seed,
        "runs": args.runs,
        "connections": scenario.connections(),
        "durationSeconds": scenario.duration.as_secs(),
        "lastEventSeconds": scenario.last_event().as_secs_f64(),
        "policies": rows.iter().map(|row| policy(scenario, row)).collect::<Vec<_>>(),
        "recommendedMaxRequests": Advice::of(scenario, rows)
            .and_then(|advice| advice.recommended?.policy.max_requests)
            .map(settings::MaxRequests::get),
    })
}

fn policy(scenario: &Scenario, row: &Row) -> Value {
    let figures = &row.figures;
    json!({
        "maxRequests": row.policy.max_requests.map(settings::MaxRequests::get),
        "maxAge": row.policy.max_age.map(|age| age.to_string()),
        "balance": row.policy.balance,
        "levelAfterSeconds": spread(figures.level_after),
        "peakToMean": spread(figures.peak_to_mean),
        "reconnectsPerConnection": spread(figures.reconnects),
        "reconnectsPerConnectionAtRest": spread(figures.at_rest),
        "reconnectsPerConnectionAndHourAtRest": reconnects_per_hour(figures, scenario),
        "peakToMeanBySecond": figures.course,
    })
}

fn spread(spread: Spread) -> Value {
    json!({ "median": finite(spread.median), "p90": finite(spread.p90) })
}

fn finite(value: f64) -> Value {
    if value.is_finite() { json!(value) } else { Value::Null }
}
