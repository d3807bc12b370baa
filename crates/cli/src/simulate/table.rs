//! The figures for a person.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use simulation::{Change, Event, LEVEL, Protocol, Scenario, Spread};

use super::arguments::Args;
use super::{Advice, Row, reconnects_per_hour};

pub(super) fn text(scenario: &Scenario, args: &Args, rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    let after = if scenario.events.is_empty() { "the start" } else { "the last event" };
    table.set_header(vec![
        "settings".to_owned(),
        format!("busiest ≤ {LEVEL}× mean after"),
        "busiest / mean".to_owned(),
        "reconnects per connection".to_owned(),
        "at rest, per hour".to_owned(),
    ]);
    for row in rows {
        let figures = &row.figures;
        table.add_row(vec![
            row.policy.to_string(),
            seconds(figures.level_after),
            format!("{:.2}", figures.peak_to_mean.median),
            format!("{:.2}", figures.reconnects.median),
            format!("{:.1}", reconnects_per_hour(figures, scenario)),
        ]);
    }
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    let mut lines = vec![description(scenario), String::new(), table.trim_fmt(), String::new()];
    lines.push(format!(
        "Medians of {} runs, the 90th percentile in parentheses. Times and reconnects count from {after}; level is the mean of 5 s, busiest / mean that of the last minute.",
        args.runs
    ));
    lines.extend(advice(scenario, rows));
    lines.join("\n")
}

fn description(scenario: &Scenario) -> String {
    let protocol = match scenario.protocol {
        Protocol::Http1 => "HTTP/1.1",
        Protocol::Http2 => "HTTP/2",
    };
    let spread = if scenario.sigma > 0.0 { format!(" (log-normal, σ {})", scenario.sigma) } else { String::new() };
    let events: Vec<String> = scenario.events.iter().map(event).collect();
    let then = if events.is_empty() { String::new() } else { format!("; {}", events.join(", ")) };
    format!(
        "{} clients with {} {protocol} connections, {} requests/s each{spread}; {} pods{then}",
        scenario.clients,
        scenario.connections(),
        scenario.rate,
        scenario.pods
    )
}

fn event(event: &Event) -> String {
    let at = event.at.as_secs_f64();
    match event.change {
        Change::Scale(pods) => format!("{pods} pods at {at} s"),
        Change::Rollout => format!("a rollout at {at} s"),
        Change::Rate(factor) => format!("a tenth of the clients at {factor} times the rate at {at} s"),
    }
}

fn seconds(spread: Spread) -> String {
    let one = |value: f64| if value.is_finite() { format!("{value:.0} s") } else { "never".to_owned() };
    format!("{} ({})", one(spread.median), one(spread.p90))
}

/// Returns the answers to "which threshold should I choose?" and "what does balancing change for me?".
fn advice(scenario: &Scenario, rows: &[Row]) -> Vec<String> {
    let Some(Advice { best, recommended }) = Advice::of(scenario, rows) else { return Vec::new() };
    let mut lines = vec![String::new()];
    lines.push(recommended.map_or_else(
        || format!("Threshold: none of these comes near {best:.2}× within 30 s, the least that random landing gives."),
        |row| {
            format!(
                "Threshold: {} is the highest that comes near {best:.2}× within 30 s, the least that random landing gives; each connection then reconnects {:.0} times an hour, for ever.",
                row.policy,
                reconnects_per_hour(&row.figures, scenario)
            )
        },
    ));
    lines.extend(rows.iter().filter(|row| row.policy.balance).map(|row| {
        format!(
            "Balancing: {:.2}× in the last minute, at {:.1} reconnects of each connection; then {:.1} an hour.",
            row.figures.peak_to_mean.median,
            row.figures.reconnects.median,
            reconnects_per_hour(&row.figures, scenario)
        )
    }));
    lines
}
