//! The cases of a run, and their results.

use std::collections::BTreeMap;
use std::fmt;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::time::{Instant, timeout};

use super::client::{Client, Job};
use super::front::{Front, Server};
use crate::clients::Outcome;
use crate::programs::Programs;
use crate::report::{Table, count};

/// The requests of the first run of a case. Later runs are as large as fits into its time.
const FIRST: u64 = 100;
/// The time limit of a client's run: its start, and requests that time out.
const LONGEST_RUN: Duration = Duration::from_mins(10);

/// A client, its concurrent requests, the server that retires its connections, and the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Case {
    pub(crate) client: Client,
    pub(crate) concurrency: u64,
    pub(crate) server: Server,
    pub(crate) limit: u64,
}

/// The result of a case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) seen: Outcome,
    /// Requests that reached the app.
    pub(crate) served: u64,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, concurrency, server, limit } = self;
        write!(f, "{} × {concurrency}, {}, limit {limit}", client.label(), server.label())
    }
}

impl Case {
    /// Runs the client until it has sent `requests`, or for about `time`.
    pub(crate) async fn run(self, programs: &Programs, requests: u64, time: Duration) -> Result<Tally> {
        let folder = programs.results().join("goaway");
        let front = Front::start(self.server, programs, self.limit, &folder).await?;
        let origin = front.origin(self.client.needs_tls());
        let body = programs.results().join("body");
        let mut tally = Tally::default();
        let (begun, mut next) = (Instant::now(), FIRST);
        while tally.sent() < requests {
            let job = Job {
                origin: &origin,
                body: &body,
                requests: next.min(requests - tally.sent()),
                concurrency: self.concurrency,
                limit: self.limit,
            };
            let started = Instant::now();
            let outcome = self.run_client(programs, job).await?;
            let done = outcome.answered + outcome.failed();
            ensure!(done > 0, "it sent nothing");
            tally.seen += outcome;
            let took = milliseconds(started.elapsed());
            let left = milliseconds(time.saturating_sub(begun.elapsed()));
            // As many as fit into the remaining time, at the rate of this run.
            next = done * left / took.max(1);
            if next < FIRST {
                break;
            }
        }
        tally.served = front.app.served().await?.requests;
        Ok(tally)
    }

    async fn run_client(self, programs: &Programs, job: Job<'_>) -> Result<Outcome> {
        let mut command = self.client.command(programs, job)?;
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = timeout(LONGEST_RUN, command.output())
            .await
            .with_context(|| format!("it did not end within {LONGEST_RUN:?}"))??;
        let text = String::from_utf8_lossy(&output.stdout);
        let printed = || format!("{text}\n{}", String::from_utf8_lossy(&output.stderr));
        ensure!(
            output.status.success() || self.client.fails_with_its_requests(),
            "it failed ({}): {}",
            output.status,
            printed()
        );
        Outcome::read(self.client.output_format(), &text).with_context(printed)
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Tally {
    /// Returns the requests that the client has sent, by its own count.
    pub(crate) fn sent(&self) -> u64 {
        self.seen.answered + self.seen.failed()
    }

    /// Returns the requests that the app has counted beyond those that the client has sent.
    pub(crate) fn repeated(&self) -> u64 {
        self.served.saturating_sub(self.sent())
    }

    /// Returns the requests without a response that reached the app.
    fn served_without_response(&self) -> u64 {
        self.served.saturating_sub(self.seen.answered).min(self.seen.failed())
    }

    fn cell(&self) -> String {
        let lost = match self.seen.failed() {
            0 => "0".to_owned(),
            lost => format!("**{}**", count(lost)),
        };
        let repeated = match self.repeated() {
            0 => String::new(),
            repeated => format!(", {} twice", count(repeated)),
        };
        format!("{lost} of {}{repeated}", count(self.sent()))
    }
}

pub(crate) type Tallies = BTreeMap<Case, Tally>;

/// Returns a row for each client and concurrency, a column for each server and limit.
pub(crate) fn table(tallies: &Tallies) -> Table {
    let mut columns: Vec<(Server, u64)> = tallies.keys().map(|case| (case.server, case.limit)).collect();
    columns.sort_unstable();
    columns.dedup();
    let mut rows: Vec<(Client, u64)> = tallies.keys().map(|case| (case.client, case.concurrency)).collect();
    rows.dedup();
    let rows = rows.into_iter().map(|(client, concurrency)| {
        let cell = |(server, limit): &(Server, u64)| {
            let case = Case { client, concurrency, server: *server, limit: *limit };
            tallies.get(&case).map_or_else(|| "–".to_owned(), Tally::cell)
        };
        [client.label().to_owned(), concurrency.to_string()].into_iter().chain(columns.iter().map(cell)).collect()
    });
    let rows = rows.collect();
    let named = columns.iter().map(|(server, limit)| format!("{}, limit {limit}", server.label()));
    Table { columns: ["client".to_owned(), "at a time".to_owned()].into_iter().chain(named).collect(), rows }
}

/// Returns the clients' errors about the requests that they lost.
pub(crate) fn notes(tallies: &Tallies) -> Vec<String> {
    let failures = tallies.iter().flat_map(|(case, tally)| {
        let served_without_response = (tally.served_without_response() > 0)
            .then(|| format!("{case}: {} reached the app", count(tally.served_without_response())));
        let each = tally.seen.failures.iter().map(move |(why, times)| format!("{case}: {times} × {why}"));
        each.chain(served_without_response)
    });
    failures.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(answered: u64, failed: u64, served: u64) -> Tally {
        let failures = [("GOAWAY received".to_owned(), failed)].into_iter().filter(|(_, count)| *count > 0).collect();
        Tally { seen: Outcome { answered, failures }, served }
    }

    #[test]
    fn a_cell_shows_lost_and_repeated_requests() {
        for (tally, cell) in [
            (tally(1_000, 0, 1_000), "0 of 1,000"),
            (tally(990, 10, 1_000), "**10** of 1,000"),
            (tally(990, 10, 995), "**10** of 1,000"),
            (tally(1_000, 0, 1_003), "0 of 1,000, 3 twice"),
        ] {
            assert_eq!(tally.cell(), cell);
        }
        assert_eq!(tally(990, 10, 995).served_without_response(), 5);
    }

    #[test]
    fn the_table_has_a_row_for_each_client_and_a_column_for_each_server() {
        let case = |server, limit| Case { client: Client::Httpx, concurrency: 1, server, limit };
        let tallies = Tallies::from([
            (case(Server::Nginx, 1), tally(5, 0, 5)),
            (case(Server::Evenkeel, 10), tally(7, 1, 8)),
            (case(Server::Evenkeel, 1), tally(6, 0, 6)),
        ]);
        let Table { columns, rows } = table(&tallies);
        assert_eq!(columns, ["client", "at a time", "evenkeel, limit 1", "evenkeel, limit 10", "nginx, limit 1"]);
        assert_eq!(rows, [["httpx", "1", "0 of 6", "**1** of 8", "0 of 5"]]);
        assert_eq!(
            notes(&tallies),
            ["httpx × 1, evenkeel, limit 10: 1 × GOAWAY received", "httpx × 1, evenkeel, limit 10: 1 reached the app"]
        );
    }
}
