//! A client's turn at a limit, with an app and a proxy of its own.

use std::num::NonZero;
use std::ops::AddAssign;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use settings::ProxyOption;
use tokio::time::{Instant, timeout};

use super::kind::{Client, Job};
use super::outcome::Outcome;
use crate::lane::{Lane, Served};
use crate::programs::Programs;

/// The time of a client's run: its start, and each request at the rate of the slowest client.
const START: Duration = Duration::from_mins(1);
const SLOWEST: Duration = Duration::from_millis(40);

/// A number of requests of a client at a limit of the proxy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) client: Client,
    pub(crate) limit: u64,
    pub(crate) requests: u64,
}

/// The results of turns: of the client, the app and the proxy.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) seen: Outcome,
    pub(crate) served: Served,
    /// Connections that the proxy has retired.
    pub(crate) retired: u64,
    /// Requests that may have been in flight when the client ended.
    left_in_flight: u64,
    /// Connections that may have been below their limit when the client ended.
    left_open: u64,
    pub(crate) turns: usize,
    took: Duration,
}

/// Fails if a client cannot be started, and names what to install.
pub(crate) fn check(client: Client, programs: &Programs, body: &Path) -> Result<()> {
    client.command(programs, body, Job { url: "", requests: 1, limit: 1, rate: None }).map(drop)
}

impl Turn {
    /// Runs the client until all requests of the turn were sent.
    pub(crate) async fn take(self, programs: &Programs) -> Result<Tally> {
        let limit = self.limit.to_string();
        let options = [(ProxyOption::MaxRequests, limit.as_str()), (ProxyOption::LogLevel, "error")];
        let lane = Lane::start(programs, &options).await?;
        let body = programs.results().join("body");
        let mut tally = Tally { turns: 1, ..Tally::default() };
        while tally.seen.answered + tally.seen.failed() < self.requests {
            let left = self.requests - tally.seen.answered - tally.seen.failed();
            let url = lane.url();
            let job = Job { url: &url, requests: left, limit: self.limit, rate: NonZero::new(tally.rate()) };
            let begun = Instant::now();
            let outcome = self.run_client(programs, &body, job).await;
            tally.seen += outcome.with_context(|| format!("{} at limit {limit}", self.client.label()))?;
            tally.took += begun.elapsed();
            tally.left_in_flight += self.client.left_in_flight();
            tally.left_open += self.client.concurrent_connections(self.limit, left);
        }
        tally.served = lane.app.served().await?;
        tally.retired = lane.metric("evenkeel_proxy_connections_retired_total").await?;
        Ok(tally)
    }

    async fn run_client(self, programs: &Programs, body: &Path, job: Job<'_>) -> Result<Outcome> {
        let mut command = self.client.command(programs, body, job)?;
        command.stdin(Stdio::null()).kill_on_drop(true);
        let bound = START + SLOWEST * u32::try_from(job.requests).unwrap_or(u32::MAX);
        let output = timeout(bound, command.output()).await.with_context(|| format!("not done within {bound:?}"))??;
        let text = String::from_utf8_lossy(&output.stdout);
        let printed = || format!("{text}\n{}", String::from_utf8_lossy(&output.stderr));
        // curl's exit code is that of its last failure; its output has all of them.
        ensure!(output.status.success() || self.client == Client::Curl, "it failed ({}): {}", output.status, printed());
        Outcome::read(self.client.output_format(), &text).and_then(Outcome::of_some_work).with_context(printed)
    }
}

impl Tally {
    /// Returns the requests that the app has counted beyond those that were answered.
    pub(crate) fn repeated(&self) -> u64 {
        self.served.requests.saturating_sub(self.seen.answered + self.left_in_flight)
    }

    /// Returns the responses beyond the requests that the app has counted.
    pub(crate) fn unseen(&self) -> u64 {
        self.seen.answered.saturating_sub(self.served.requests)
    }

    /// Returns the responses per second.
    pub(crate) fn rate(&self) -> u64 {
        let milliseconds = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX);
        (self.seen.answered * 1000).checked_div(milliseconds).unwrap_or(0)
    }

    /// Returns whether enough connections were retired. No connection has more requests than the limit, except for
    /// streams that were in flight when an HTTP/2 client received GOAWAY. At the end, the client may still have open
    /// connections.
    pub(crate) fn is_recycled_at(&self, limit: u64, client: Client) -> bool {
        let most_on_one = limit + client.streams_in_flight();
        let connections = self.served.requests.div_ceil(most_on_one);
        self.retired >= connections.saturating_sub(self.left_open)
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.seen += other.seen;
        self.served.requests += other.served.requests;
        self.served.connections += other.served.connections;
        self.retired += other.retired;
        self.left_in_flight += other.left_in_flight;
        self.left_open += other.left_open;
        self.turns += other.turns;
        self.took += other.took;
    }
}
