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

/// One run of a client: what it takes to start, and a request at the pace of the slowest.
const START: Duration = Duration::from_mins(1);
const SLOWEST: Duration = Duration::from_millis(40);

/// So many requests of a client at a limit of the proxy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) client: Client,
    pub(crate) limit: u64,
    pub(crate) requests: u64,
}

/// What came of turns: at the client, at the app and in between.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) seen: Outcome,
    pub(crate) served: Served,
    /// Connections that the proxy has retired.
    pub(crate) retired: u64,
    /// Requests that the client may have left under way when it ended.
    left_under_way: u64,
    /// Connections that it may have had below their limit when it ended.
    left_open: u64,
    pub(crate) turns: usize,
    took: Duration,
}

/// Fails with what to install where a client cannot be started.
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
            tally.left_under_way += self.client.left_under_way();
            tally.left_open += self.client.connections_at_a_time(self.limit, left);
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
        let said = || format!("{text}\n{}", String::from_utf8_lossy(&output.stderr));
        // curl's exit code is that of the last failure, which its lines tell better.
        ensure!(output.status.success() || self.client == Client::Curl, "it failed ({}): {}", output.status, said());
        Outcome::read(self.client.says(), &text).and_then(Outcome::of_some_work).with_context(said)
    }
}

impl Tally {
    /// Requests that the app has seen more often than clients have had answers.
    pub(crate) fn repeated(&self) -> u64 {
        self.served.requests.saturating_sub(self.seen.answered + self.left_under_way)
    }

    /// Answers that no request at the app accounts for.
    pub(crate) fn unseen(&self) -> u64 {
        self.seen.answered.saturating_sub(self.served.requests)
    }

    /// Answers per second.
    pub(crate) fn rate(&self) -> u64 {
        let milliseconds = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX);
        (self.seen.answered * 1000).checked_div(milliseconds).unwrap_or(0)
    }

    /// Returns whether enough connections were retired. No connection has more requests than the limit, except for
    /// streams that were on their way on an HTTP/2 connection at its GOAWAY. At the end, the client may still have open
    /// ones.
    pub(crate) fn is_recycled_at(&self, limit: u64, client: Client) -> bool {
        let most_on_one = limit + client.streams_under_way();
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
        self.left_under_way += other.left_under_way;
        self.left_open += other.left_open;
        self.turns += other.turns;
        self.took += other.took;
    }
}
