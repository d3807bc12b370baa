//! The figures as Markdown tables.

use crate::autoscale::Autoscaled;
use crate::phase::Phase;
use crate::scale_out::{Lane, ScaleOut};
use crate::simulated::Spread;

/// Returns the scale-out of each protocol and mode, measured and simulated.
pub(crate) fn scale_outs(all: &[ScaleOut]) -> String {
    let head = [
        "",
        "level after",
        "simulated",
        "busiest / mean pod in the second minute",
        "simulated",
        "reconnects per connection",
        "simulated",
        "of these in the second minute",
        "failed requests",
    ];
    let rows = all.iter().flat_map(|figures| figures.lanes.iter().map(|lane| scale_out(&figures.protocol, lane)));
    table(&head, rows)
}

fn scale_out(protocol: &str, lane: &Lane) -> Vec<String> {
    let Lane { mode, scale_out, simulated, .. } = lane;
    vec![
        format!("{protocol}, {mode}"),
        seconds(scale_out.level_after),
        spread(simulated.level_after, 0, " s"),
        format!("{:.2}", scale_out.peak_at_the_end),
        spread(simulated.peak_at_the_end, 2, ""),
        format!("{:.2}", scale_out.reconnects_since_ready),
        spread(simulated.reconnects, 2, ""),
        format!("{:.2}", scale_out.reconnects_at_the_end),
        format!("{} of {}", scale_out.failed, scale_out.answered + scale_out.failed),
    ]
}

/// Returns the figures of three rollouts and a scale-in in each mode: one row for all four changes, in this order.
pub(crate) fn again(all: &[ScaleOut]) -> String {
    let head =
        ["", "level after", "busiest / mean pod in the minute after", "reconnects per connection", "failed requests"];
    let lanes = all.iter().flat_map(|figures| figures.lanes.iter().map(|lane| (&figures.protocol, lane)));
    let rows = lanes.filter(|(_, lane)| !lane.again.is_empty()).map(|(protocol, lane)| {
        let each = |figure: &dyn Fn(&Phase) -> String| lane.again.iter().map(figure).collect::<Vec<_>>().join(" · ");
        let (failed, answered) = lane.again.iter().fold((0, 0), |(f, a), phase| (f + phase.failed, a + phase.answered));
        vec![
            format!("{protocol}, {}", lane.mode),
            each(&|phase| seconds(phase.level_after)),
            each(&|phase| format!("{:.2}", phase.peak_at_the_end)),
            each(&|phase| format!("{:.2}", phase.reconnects)),
            format!("{failed} of {}", answered + failed),
        ]
    });
    table(&head, rows)
}

/// Returns the figures of clients at rest.
pub(crate) fn rests(all: &[ScaleOut]) -> String {
    let head = ["", "at rest for", "connections opened", "busiest / mean pod, worst 5 s"];
    let rows = all.iter().flat_map(|figures| {
        let lanes = figures.lanes.iter().filter_map(|lane| Some((lane, lane.rest.as_ref()?)));
        lanes.map(|(lane, rest)| {
            vec![
                format!("{}, {}", figures.protocol, lane.mode),
                format!("{} s", rest.seconds),
                rest.opened.to_string(),
                format!("{:.2}", rest.worst),
            ]
        })
    });
    table(&head, rows)
}

/// Returns the figures of the autoscaler in each mode.
pub(crate) fn autoscaled(all: &[Autoscaled]) -> String {
    let head = [
        "",
        "pods",
        "CPU of all apps",
        "pods that the autoscaler wants for it",
        "level after",
        "simulated",
        "busiest / mean pod in the last minute",
        "simulated",
        "connections of a client",
        "p50 after the last readiness",
        "failed requests",
    ];
    let rows = all.iter().map(|autoscaled| {
        let Autoscaled { mode, pods, cpu, right, phase, simulated, failed, .. } = autoscaled;
        vec![
            mode.clone(),
            pods.to_string(),
            format!("{cpu:.0}m"),
            right.to_string(),
            seconds(phase.level_after),
            spread(simulated.level_after, 0, " s"),
            format!("{:.2}", phase.peak_at_the_end),
            spread(simulated.peak_at_the_end, 2, ""),
            format!("{:.2}", phase.reconnects),
            format!("{:.0} ms", phase.p50_ms),
            failed.to_string(),
        ]
    });
    table(&head, rows)
}

fn seconds(seconds: Option<usize>) -> String {
    seconds.map_or_else(|| "never".to_owned(), |seconds| format!("{seconds} s"))
}

fn spread(spread: Spread, digits: usize, unit: &str) -> String {
    let one = |value: Option<f64>| value.map_or_else(|| "never".to_owned(), |value| format!("{value:.digits$}{unit}"));
    match (spread.median, spread.p90) {
        (None, None) => one(None),
        (median, p90) => format!("{} ({})", one(median), one(p90)),
    }
}

fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let rule = format!("|{}\n", "---|".repeat(head.len()));
    let head = line(head.iter().map(|&cell| cell.to_owned()).collect());
    rows.fold(head + &rule, |table, row| table + &line(row))
}
