//! CPU time of the proxy per request, under closed-loop load.

use anyhow::{Result, ensure};

use crate::accounting;
use crate::bench::Bench;
use crate::lineup::{Lineup, Outcome};
use crate::load::Completed;
use crate::load::h2load;
use crate::load::wrk::{self, Request};
use crate::peer::Peer;
use crate::process::Running;
use crate::report::{Section, Table, Verdict};
use crate::scenario::{Figures, cell, row};

/// A kind of load, with the limits of its cost as multiples of the peers' cost.
struct Case {
    title: &'static str,
    request: Request,
    connections: u16,
    goals: &'static [(Peer, f64)],
}

const SHORT: [Case; 2] = [
    Case {
        title: "CPU per request: 128-byte answers, 64 connections",
        request: Request::Get("/"),
        connections: 64,
        goals: &[(Peer::ByteCopy, 1.06), (Peer::Nginx, 0.85), (Peer::HaProxy, 0.75)],
    },
    Case {
        title: "CPU per request: 128-byte answers, 1,000 connections",
        request: Request::Get("/"),
        connections: 1000,
        goals: &[(Peer::ByteCopy, 1.08)],
    },
];

const DOWN: [Case; 2] = [
    Case {
        title: "CPU per request: answers of 64 KiB, 16 connections",
        request: Request::Get("/bodies/65536"),
        connections: 16,
        goals: &[(Peer::ByteCopy, 0.75)],
    },
    Case {
        title: "CPU per request: answers of 1 MiB, 16 connections",
        request: Request::Get("/bodies/1048576"),
        connections: 16,
        goals: &[(Peer::ByteCopy, 0.55)],
    },
];

const UP: [Case; 2] = [
    Case {
        title: "CPU per request: request bodies of 64 KiB, 16 connections",
        request: Request::Post(64 * 1024),
        connections: 16,
        goals: &[(Peer::ByteCopy, 0.85)],
    },
    Case {
        title: "CPU per request: request bodies of 1 MiB, 16 connections",
        request: Request::Post(1024 * 1024),
        connections: 16,
        goals: &[(Peer::ByteCopy, 0.50)],
    },
];

/// Connections, and concurrent streams on each.
const HTTP2: (u16, u16) = (16, 10);
const HTTP2_GOALS: &[(Peer, f64)] = &[(Peer::ByteCopy, 1.08), (Peer::Nghttpx, 0.45), (Peer::HaProxy, 0.45)];

/// The figures of a turn.
pub(crate) struct Turn {
    /// CPU time of the proxy per completed request, µs.
    pub(crate) micros: f64,
    pub(crate) per_second: f64,
}

/// Measures short responses, with few and with many connections.
pub(crate) fn short(bench: &Bench, app: u16) -> Vec<Section> {
    let lineup = Lineup::start(bench, &Peer::HTTP1, app, None);
    SHORT.iter().map(|case| measure(bench, &lineup, case)).collect()
}

/// Measures short responses in HTTP/2.
pub(crate) fn http2(bench: &Bench, app: u16) -> Section {
    let (connections, streams) = HTTP2;
    let title = format!("CPU per request: HTTP/2, 128-byte answers, {connections} connections of {streams} streams");
    eprintln!("{title} …");
    let lineup = Lineup::start_http2(bench, &Peer::HTTP2, app);
    let outcomes = lineup.rounds(bench.rounds, |_, running| {
        account(running, || h2load::run(&bench.tools.h2load, running.port(), connections, streams, bench.seconds))
    });
    section(title, "h2load", &outcomes, HTTP2_GOALS)
}

/// Measures long bodies, in responses of `app` and in requests to `sink`.
pub(crate) fn bodies(bench: &Bench, app: u16, sink: u16) -> Vec<Section> {
    let towards = |app: u16, cases: &[Case]| -> Vec<Section> {
        let lineup = Lineup::start(bench, &Peer::HTTP1, app, None);
        cases.iter().map(|case| measure(bench, &lineup, case)).collect()
    };
    [towards(app, &DOWN), towards(sink, &UP)].concat()
}

/// Runs wrk for the planned time, and measures the CPU time of the proxy meanwhile.
pub(crate) fn turn(bench: &Bench, running: &Running, request: Request, connections: u16) -> Result<Turn> {
    let dir = bench.fresh_dir("wrk")?;
    account(running, || wrk::run(&bench.tools.wrk, running.port(), request, connections, bench.seconds, &dir))
}

fn account(running: &Running, load: impl FnOnce() -> Result<Completed>) -> Result<Turn> {
    let before = accounting::cpu_time(running.pid())?;
    let completed = load()?;
    let used = accounting::cpu_time(running.pid())?.saturating_sub(before);
    ensure!(!used.is_zero(), "no CPU time was counted: the accounting looks at the wrong process");
    #[expect(clippy::cast_precision_loss, reason = "fewer requests than 2⁵²")]
    let requests = completed.requests as f64;
    Ok(Turn { micros: used.as_secs_f64() * 1e6 / requests, per_second: completed.per_second })
}

fn measure(bench: &Bench, lineup: &Lineup, case: &Case) -> Section {
    eprintln!("{} …", case.title);
    let outcomes = lineup.rounds(bench.rounds, |_, running| turn(bench, running, case.request, case.connections));
    section(case.title.to_owned(), "wrk", &outcomes, case.goals)
}

fn section(title: String, load: &str, outcomes: &[(Peer, Outcome<Turn>)], goals: &[(Peer, f64)]) -> Section {
    let micros = Figures::take(outcomes, |turn| turn.micros);
    let per_second = Figures::take(outcomes, |turn| turn.per_second);
    let rows = outcomes
        .iter()
        .map(|(peer, outcome)| {
            row(*peer, outcome, || {
                vec![
                    cell(micros.summary(*peer), "µs"),
                    cell(micros.ratio(*peer, Peer::ByteCopy), ""),
                    cell(per_second.summary(*peer), ""),
                ]
            })
        })
        .collect();
    let verdicts = goals
        .iter()
        .map(|(peer, limit)| {
            Verdict::at_most(format!("≤ {limit:.2} × {peer}"), *limit, micros.ratio(Peer::Evenkeel, *peer), "×")
        })
        .collect();
    Section {
        title,
        how: format!("User and system time of the proxy's process, divided by the requests that {load} completed."),
        table: Table { columns: vec!["", "CPU per request", "× byte copy", "requests/s"], rows },
        verdicts,
    }
}
