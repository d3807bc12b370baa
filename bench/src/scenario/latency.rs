//! The latency that a proxy adds to a request, at a rate below its capacity.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::bench::Bench;
use crate::lineup::Lineup;
use crate::load::paced;
use crate::load::wrk::Request;
use crate::peer::Peer;
use crate::report::{Section, Table, Verdict};
use crate::scenario::{Figures, cell, cpu, row};
use crate::summary::{Summary, quantile};

const CONNECTIONS: u16 = 64;

/// Quantiles of one turn, µs.
struct Turn {
    through: Quantiles,
    /// The quantiles of the app without a proxy, just before.
    alone: Quantiles,
}

struct Quantiles {
    p50: f64,
    p99: f64,
}

/// Measures every peer at one rate: half of the capacity of the slowest.
pub(crate) fn measure(bench: &Bench, app: u16) -> Result<Section> {
    eprintln!("added latency …");
    let lineup = Lineup::start(bench, &Peer::HTTP1, app, None);
    let capacity = lineup.rounds(1, |_, running| cpu::turn(bench, running, Request::Get("/"), CONNECTIONS));
    let slowest = capacity.iter().filter_map(|(_, outcome)| outcome.as_ref().ok()?.first());
    let slowest = slowest.map(|turn| turn.per_second).reduce(f64::min);
    let rate = slowest.context("no peer answered under load, not even the byte copy")? / 2.0;
    let time = Duration::from_secs(bench.seconds.into());
    let outcomes = lineup.rounds(bench.tail_rounds, |_, running| {
        let alone = quantiles(app, rate, time / 2)?;
        Ok(Turn { through: quantiles(running.port(), rate, time)?, alone })
    });
    let figures = |of: fn(&Turn) -> f64| Figures::take(&outcomes, of);
    let added50 = figures(|turn| turn.through.p50 - turn.alone.p50);
    let added99 = figures(|turn| turn.through.p99 - turn.alone.p99);
    let [p50, p99] = [figures(|turn| turn.through.p50), figures(|turn| turn.through.p99)];
    let rows = outcomes.iter().map(|(peer, outcome)| {
        row(*peer, outcome, || [&added50, &added99, &p50, &p99].map(|of| cell(of.summary(*peer), "µs")).into())
    });
    Ok(Section {
        title: format!("Added latency at {rate:.0} requests/s, {CONNECTIONS} connections"),
        how: format!(
            "{} rounds. At half of what the slowest peer can do, each request counted from the instant at which it was due. \
             Added is what the quantile is above that of the app without any proxy, measured just before.",
            bench.tail_rounds
        ),
        table: Table { columns: vec!["", "added p50", "added p99", "p50", "p99"], rows: rows.collect() },
        verdicts: vec![below_every_peer("p50", &added50), below_every_peer("p99", &added99)],
    })
}

fn quantiles(port: u16, rate: f64, time: Duration) -> Result<Quantiles> {
    let mut latencies = paced::run(port, CONNECTIONS, rate, time)?;
    let mut micros =
        |per_mille| quantile(&mut latencies, per_mille).map_or(f64::NAN, |value| value.as_secs_f64() * 1e6);
    Ok(Quantiles { p50: micros(500), p99: micros(990) })
}

/// Compares evenkeel with every peer except the byte copy, which is a lower bound.
fn below_every_peer(name: &str, figures: &Figures) -> Verdict {
    let rivals = [Peer::Nginx, Peer::HaProxy, Peer::Envoy];
    let best = rivals
        .into_iter()
        .filter_map(|peer| Some((peer, figures.summary(peer)?)))
        .min_by(|(_, one), (_, other)| one.median.total_cmp(&other.median));
    match best {
        Some((peer, Summary { median, .. })) => {
            let goal = format!("{name} below every peer; the best is {peer} with {median:.0} µs");
            Verdict::at_most(goal, median, figures.summary(Peer::Evenkeel), "µs")
        }
        None => Verdict::not_measured(format!("{name} below every peer"), "no peer was measured".to_owned()),
    }
}
