//! Real clients while their connections are recycled: the clients' reports, compared with the app's counts.

mod kind;
mod outcome;
mod turn;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::ValueEnum as _;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::kind::Client;
pub(crate) use self::kind::OutputFormat;
pub(crate) use self::outcome::Outcome;
use self::turn::{Tally, Turn};
use crate::programs::Programs;
use crate::report::{Report, Table, Verdict, count};

/// Requests in one turn of a client at a limit. A run that ends early has had turns of all clients and limits.
const ROUND: u64 = 1_000_000;

/// Real clients at limits 1, 2, 10 and 1000: no request is lost while their connections are recycled.
///
/// Every request is a POST of 64 bytes that the app echoes. Clients do not retry a POST automatically, so no loss is
/// hidden. Each client has an app and a proxy of its own. A request is lost if the client reports no response or a
/// wrong one. It is repeated if the app has counted more requests than were answered.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Requests in total, spread over clients by their speed and evenly over limits; the long run takes 10000000
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    requests: u64,
    /// After this time no further turn begins; the report gives the number of requests
    #[arg(long, default_value = "10m", value_name = "DURATION", value_parser = humantime::parse_duration)]
    time: Duration,
    /// Only these clients
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Client>,
    /// The proxy's limits
    #[arg(long, value_delimiter = ',', default_value = "1,2,10,1000")]
    limits: Vec<u64>,
    /// Clients at the same time
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..))]
    parallel: u8,
}

pub(crate) async fn run(programs: &Programs, options: &Options) -> Result<Report> {
    let begun = Instant::now();
    let clients = if options.only.is_empty() { Client::value_variants().to_vec() } else { options.only.clone() };
    let turns = plan(&clients, &options.limits, options.requests);
    let body = programs.results().join("body");
    std::fs::write(&body, [b'x'; 64])?;
    // Before the first turn: a missing client should not fail a run after an hour.
    for client in &clients {
        turn::check(*client, programs, &body)?;
    }
    let run = take_turns(programs, options, turns, begun + options.time).await?;
    Ok(report(options, &run, begun))
}

/// Returns the turns in the order in which they are taken: every client at every limit in each round.
fn plan(clients: &[Client], limits: &[u64], requests: u64) -> Vec<Turn> {
    let rounds = requests.div_ceil(ROUND);
    let weights: u64 = clients.iter().map(|client| client.weight()).sum();
    let parts = weights * u64::try_from(limits.len()).unwrap_or(1) * rounds;
    let pairs = clients.iter().flat_map(|client| limits.iter().map(move |limit| (*client, *limit)));
    let of_round: Vec<Turn> = pairs
        .map(|(client, limit)| Turn { client, limit, requests: (requests * client.weight()).div_ceil(parts) })
        .collect();
    (0..rounds).flat_map(|_| of_round.clone()).collect()
}

type Tallies = BTreeMap<(Client, u64), Tally>;

/// The results of the turns.
#[derive(Default)]
struct Run {
    tallies: Tallies,
    /// Turns that failed to complete; the run goes on without them.
    broken: Vec<String>,
    turns: usize,
}

async fn take_turns(programs: &Programs, options: &Options, turns: Vec<Turn>, deadline: Instant) -> Result<Run> {
    let places = Arc::new(Semaphore::new(options.parallel.into()));
    let mut run = Run { turns: turns.len(), ..Run::default() };
    let mut running = JoinSet::new();
    for turn in turns {
        let place = Arc::clone(&places).acquire_owned().await?;
        while let Some(ended) = running.try_join_next() {
            run.note(ended?);
        }
        if Instant::now() > deadline {
            break;
        }
        let programs = programs.clone();
        running.spawn(async move {
            let tally = turn.take(&programs).await;
            drop(place);
            (turn, tally)
        });
    }
    while let Some(ended) = running.join_next().await {
        run.note(ended?);
    }
    ensure!(!run.tallies.is_empty(), "no client run completed: {:?}", run.broken);
    Ok(run)
}

impl Run {
    fn note(&mut self, (Turn { client, limit, .. }, tally): (Turn, Result<Tally>)) {
        let outcome = match tally {
            Ok(tally) => {
                let (answered, lost, rate) = (count(tally.seen.answered), tally.seen.failed(), tally.rate());
                *self.tallies.entry((client, limit)).or_default() += tally;
                format!("{} at limit {limit}: {answered} answered, {lost} lost, {rate}/s", client.label())
            }
            Err(error) => {
                self.broken.push(format!("{error:#}"));
                format!("{error:#}")
            }
        };
        let done = self.tallies.values().map(|tally| tally.turns).sum::<usize>() + self.broken.len();
        eprintln!("{done}/{} {outcome}", self.turns);
    }
}

fn report(options: &Options, Run { tallies, broken, .. }: &Run, begun: Instant) -> Report {
    let how = format!(
        "Real clients POST 64 bytes through the proxy to an app that echoes them, at limits {}.",
        options.limits.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
    );
    let mut report = Report::of("clients", begun, how);
    let sum = |of: fn(&Tally) -> u64| tallies.values().map(of).sum::<u64>();
    let answered = sum(|tally| tally.seen.answered);
    let lost = sum(|tally| tally.seen.failed());
    report.verdicts = vec![
        Verdict::new(
            format!("0 lost of {}", count(options.requests)),
            format!("{} of {}", lost, count(answered + lost)),
            lost == 0,
        ),
        Verdict::new(
            "the app received as many requests as were answered",
            format!("{} more, {} fewer", sum(Tally::repeated), sum(Tally::unseen)),
            sum(Tally::repeated) == 0 && sum(Tally::unseen) == 0,
        ),
        Verdict::new(
            "connections are retired at every limit",
            format!("{} recycled", count(sum(|tally| tally.retired))),
            tallies.iter().all(|((client, limit), tally)| tally.is_recycled_at(*limit, *client)),
        ),
        Verdict::new(
            format!("all {} requests in time", count(options.requests)),
            count(answered),
            answered >= options.requests,
        ),
    ];
    if !broken.is_empty() {
        report.verdicts.push(Verdict::new("every client run completes", format!("{} did not", broken.len()), false));
    }
    report.table = table(tallies);
    let failures = tallies.iter().flat_map(|((client, limit), tally)| {
        let each = tally.seen.failures.iter();
        each.map(move |(why, times)| format!("{} at limit {limit}: {times} × {why}", client.label()))
    });
    report.notes = failures.chain(broken.iter().cloned()).collect();
    report
}

fn table(tallies: &Tallies) -> Table {
    let columns = ["client", "limit", "answered", "lost", "at the app", "app connections", "recycled", "per second"];
    let rows = tallies.iter().map(|((client, limit), tally)| {
        let mut row = vec![client.label().to_owned()];
        row.extend([*limit, tally.seen.answered, tally.seen.failed()].map(count));
        row.extend([tally.served.requests, tally.served.connections, tally.retired, tally.rate()].map(count));
        row
    });
    Table::new(columns, rows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_has_every_client_at_every_limit_and_enough_requests() {
        for requests in [1, 100_000, 10_000_000] {
            let turns = plan(Client::value_variants(), &[1, 2, 10, 1000], requests);
            let sum: u64 = turns.iter().map(|turn| turn.requests).sum();
            assert!((requests..requests + turns.len() as u64).contains(&sum), "{requests}: {sum}");
            assert_eq!(turns.len() as u64, Client::value_variants().len() as u64 * 4 * requests.div_ceil(ROUND));
        }
    }
}
