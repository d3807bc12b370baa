//! How much the streams of some clients delay another client's requests on the same thread.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::bench::Bench;
use crate::lineup;
use crate::load::flood::Flood;
use crate::load::paced;
use crate::load::slow_streams::SlowStreams;
use crate::report::{Section, Table, Verdict};
use crate::scenario::cell;
use crate::sink;
use crate::summary::{Summary, quantile};

/// The connections of the quiet client, and its requests per second.
const QUIET: (u16, f64) = (4, 500.0);
/// The limit of its p99, as a multiple of its p99 alone.
const GOAL: f64 = 2.0;

/// Quantiles of the quiet client's latency in one turn, µs.
#[derive(Clone, Copy)]
struct Turn {
    p50: f64,
    p99: f64,
}

/// The turns of a round: alone, beside a flood, beside slow streams.
type Round = [Turn; 3];

/// Measures a quiet HTTP/1.1 client, alone and beside HTTP/2 clients, through one proxy with one thread.
pub(crate) fn measure(bench: &Bench, app: u16) -> Result<Section> {
    eprintln!("neighbours …");
    let http2_app = lineup::start_http2_app(bench)?;
    let [flooded, slow] = [lineup::free_port()?, lineup::free_port()?];
    let addresses = [flooded, sink::start_http2()?, slow, http2_app.port()].map(|port| format!("127.0.0.1:{port}"));
    let [listen_flooded, sink, listen_slow, http2_app_address] = &addresses;
    let options = [
        "--listen",
        listen_flooded,
        "--app",
        sink,
        "--listen",
        listen_slow,
        "--app",
        http2_app_address,
        "--threads",
        "1",
    ];
    let running = lineup::start_ours(bench, [app, 0], &options)?;
    let time = Duration::from_secs(bench.seconds.into());
    let round = |_| -> Result<Round> {
        let alone = turn(running.port(), time)?;
        let flood = Flood::start(flooded)?;
        let beside_flood = turn(running.port(), time)?;
        flood.end()?;
        let streams = SlowStreams::start(slow, "/long")?;
        let beside_streams = turn(running.port(), time)?;
        streams.end()?;
        Ok([alone, beside_flood, beside_streams])
    };
    let rounds: Vec<Round> = (0..bench.rounds).map(round).collect::<Result<_>>().context("neighbours")?;
    Ok(section(&rounds))
}

fn turn(port: u16, time: Duration) -> Result<Turn> {
    let (connections, rate) = QUIET;
    let mut latencies = paced::run(port, connections, rate, time)?;
    let mut micros =
        |per_mille| quantile(&mut latencies, per_mille).map_or(f64::NAN, |value| value.as_secs_f64() * 1e6);
    Ok(Turn { p50: micros(500), p99: micros(990) })
}

fn section(rounds: &[Round]) -> Section {
    let of = |index: usize, figure: fn(&Turn) -> f64| Summary::of(rounds.iter().map(|round| figure(&round[index])));
    let ratio = |index: usize| Summary::of(rounds.iter().map(|round| round[index].p99 / round[0].p99));
    let cases = ["alone", "beside a flood of empty HTTP/2 frames", "beside 1,000 slow HTTP/2 streams"];
    let rows = cases.iter().enumerate().map(|(index, case)| {
        let [p50, p99] = [of(index, |turn| turn.p50), of(index, |turn| turn.p99)].map(|of| cell(of, "µs"));
        vec![(*case).to_owned(), p50, p99, cell(ratio(index), "")]
    });
    let verdicts = cases.iter().enumerate().skip(1);
    let verdicts =
        verdicts.map(|(index, case)| Verdict::at_most(format!("p99 {case} ≤ {GOAL} × alone"), GOAL, ratio(index), "×"));
    let (connections, rate) = QUIET;
    Section {
        title: "A quiet HTTP/1.1 client and its neighbours".to_owned(),
        how: format!(
            "Latency of {rate} requests/s on {connections} connections through a proxy with one thread: alone; while another client \
             sends HTTP/2 frames without content as fast as they are taken; while ten clients take 1,000 answers of 1 MiB \
             in pieces of 64 bytes, 10,000 per second. In turn within each round."
        ),
        table: Table { columns: vec!["", "p50", "p99", "p99 × alone"], rows: rows.collect() },
        verdicts: verdicts.collect(),
    }
}
