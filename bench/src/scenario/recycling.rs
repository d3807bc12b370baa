//! Throughput if every connection is retired after ten requests.

use crate::bench::Bench;
use crate::lineup::Lineup;
use crate::load::wrk::Request;
use crate::peer::Peer;
use crate::report::{Section, Table, Verdict};
use crate::scenario::{Figures, cell, cpu, row};

const MAX_REQUESTS: u32 = 10;
const CONNECTIONS: u16 = 64;

/// Compares evenkeel's `max-requests` with nginx's `keepalive_requests`.
pub(crate) fn measure(bench: &Bench, app: u16) -> Section {
    eprintln!("recycling every {MAX_REQUESTS} requests …");
    let lineup = Lineup::start(bench, &[Peer::Evenkeel, Peer::Nginx], app, Some(MAX_REQUESTS));
    let outcomes = lineup.rounds(bench.rounds, |_, running| cpu::turn(bench, running, Request::Get("/"), CONNECTIONS));
    let per_second = Figures::take(&outcomes, |turn| turn.per_second);
    let micros = Figures::take(&outcomes, |turn| turn.micros);
    let rows = outcomes
        .iter()
        .map(|(peer, outcome)| {
            row(*peer, outcome, || vec![cell(per_second.summary(*peer), ""), cell(micros.summary(*peer), "µs")])
        })
        .collect();
    let ratio = per_second.ratio(Peer::Evenkeel, Peer::Nginx);
    Section {
        title: format!("Recycling every {MAX_REQUESTS} requests, {CONNECTIONS} connections"),
        how: "Requests per second by wrk, which reconnects whenever it is told to. nginx keeps its app connections in a pool; \
              ours opens one for each client connection."
            .to_owned(),
        table: Table { columns: vec!["", "requests/s", "CPU per request"], rows },
        verdicts: vec![Verdict::at_least("requests/s ≥ nginx".to_owned(), 1.0, ratio, "×")],
    }
}
