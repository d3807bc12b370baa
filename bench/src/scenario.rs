//! The measurements: one file for each scenario.

pub(crate) mod balancing;
pub(crate) mod cpu;
pub(crate) mod idle_kinds;
pub(crate) mod latency;
pub(crate) mod memory;
pub(crate) mod neighbours;
pub(crate) mod recycling;
pub(crate) mod start;
pub(crate) mod threads;
pub(crate) mod webhook;
pub(crate) mod worst_case_memory;

use clap::ValueEnum;

use crate::lineup::Outcome;
use crate::peer::Peer;
use crate::report;
use crate::summary::Summary;

/// A scenario, as the command line names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// CPU per request, short answers, 64 and 1,000 connections.
    Cpu,
    /// CPU per request in HTTP/2, 16 connections of 10 streams.
    Http2,
    /// CPU per request, bodies of 64 KiB and 1 MiB, down and up.
    Bodies,
    /// Latency that a proxy adds at half load.
    Latency,
    /// Throughput where connections are retired every ten requests.
    Recycling,
    /// Latency of a quiet client beside others that make much work on its thread.
    Neighbours,
    /// CPU per request with a balancer and without.
    Balancing,
    /// Throughput and CPU per request with more threads.
    Threads,
    /// Resident memory at rest and with idle clients.
    Memory,
    /// Most memory under clients that take as much as they can.
    WorstCaseMemory,
    /// Time from the start to the first answer.
    Start,
    /// Latency, CPU and memory of the webhook at 500 reviews per second.
    Webhook,
}

/// One figure of each round, of every peer.
struct Figures {
    of: Vec<(Peer, Outcome<f64>)>,
}

impl Figures {
    fn take<T>(outcomes: &[(Peer, Outcome<T>)], figure: impl Fn(&T) -> f64) -> Self {
        let of = outcomes
            .iter()
            .map(|(peer, outcome)| (*peer, outcome.as_ref().map(|rounds| rounds.iter().map(&figure).collect())))
            .map(|(peer, outcome)| (peer, outcome.map_err(String::clone)))
            .collect();
        Self { of }
    }

    fn summary(&self, peer: Peer) -> Option<Summary> {
        Summary::of(self.rounds(peer)?.iter().copied())
    }

    /// Returns one peer's figure divided by another's, round by round.
    fn ratio(&self, of: Peer, to: Peer) -> Option<Summary> {
        let pairs = self.rounds(of)?.iter().zip(self.rounds(to)?);
        Summary::of(pairs.map(|(figure, base)| figure / base))
    }

    fn rounds(&self, peer: Peer) -> Option<&[f64]> {
        let (_, outcome) = self.of.iter().find(|(candidate, _)| *candidate == peer)?;
        outcome.as_deref().ok()
    }
}

/// Returns a summary as a table shows it.
fn cell(summary: Option<Summary>, unit: &str) -> String {
    summary.map_or_else(|| "–".to_owned(), |summary| report::with_range(summary, unit))
}

/// Returns a row of a table: the peer, then its cells or, in the first of them, why there are none.
fn row<T>(peer: Peer, outcome: &Outcome<T>, cells: impl FnOnce() -> Vec<String>) -> Vec<String> {
    let rest = match outcome {
        Ok(_) => cells(),
        Err(reason) => vec![first_clause(reason)],
    };
    std::iter::once(peer.to_string()).chain(rest).collect()
}

/// Returns a short reason for a table cell. The whole reason was printed when it happened.
fn first_clause(reason: &str) -> String {
    let clause: String = reason.chars().take_while(|c| !";:\n".contains(*c)).collect();
    clause.replace('|', "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_compare_figures_of_the_same_round() {
        // The machine is twice as slow in the second round, which changes no ratio.
        let outcomes = vec![(Peer::ByteCopy, Ok(vec![10.0, 20.0])), (Peer::Evenkeel, Ok(vec![11.0, 22.0]))];
        let figures = Figures::take(&outcomes, |figure| *figure);
        let ratio = figures.ratio(Peer::Evenkeel, Peer::ByteCopy).unwrap();
        assert!((ratio.lowest - 1.1).abs() < 1e-9 && (ratio.highest - 1.1).abs() < 1e-9, "{ratio:?}");
        assert_eq!(figures.ratio(Peer::Evenkeel, Peer::Envoy), None);
    }

    #[test]
    fn a_failed_peer_has_a_reason_in_place_of_figures() {
        let outcome: Outcome<f64> = Err("not installed; do this".to_owned());
        assert_eq!(row(Peer::Envoy, &outcome, || unreachable!("no cells of a failure")), ["Envoy", "not installed"]);
        assert_eq!(Figures::take(&[(Peer::Envoy, outcome)], |figure| *figure).summary(Peer::Envoy), None);
    }
}
