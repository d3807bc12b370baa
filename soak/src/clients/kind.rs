//! The clients, and how each is started.

use std::num::NonZero;
use std::path::Path;

use anyhow::Result;
use clap::ValueEnum;
use tokio::process::Command;

use crate::programs::Programs;

/// A client in wide use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Client {
    Wrk,
    Hey,
    Ab,
    H2loadH1,
    H2loadH2,
    Curl,
    Requests,
    Httpx,
    Aiohttp,
    NodeAgent,
    Undici,
    NodeHttp2,
    GoH1,
    GoH2,
    JavaH1,
    JavaH2,
}

/// The format of a client's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutputFormat {
    /// The JSON line of the programs in `soak/clients`.
    Json,
    Wrk,
    Hey,
    Ab,
    H2load,
    /// A line for each transfer.
    Curl,
}

/// One run of a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job<'a> {
    pub(crate) url: &'a str,
    /// The requests to send. For a client that is limited by time, the rate of its run before converts them.
    pub(crate) requests: u64,
    /// The limit of the proxy.
    pub(crate) limit: u64,
    /// Requests per second of the run before, for clients that are limited by time.
    pub(crate) rate: Option<NonZero<u64>>,
}

impl Client {
    /// Returns its name in the tables.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Wrk => "wrk",
            Self::Hey => "hey",
            Self::Ab => "ab (HTTP/1.0 keep-alive)",
            Self::H2loadH1 => "h2load --h1",
            Self::H2loadH2 => "h2load, HTTP/2",
            Self::Curl => "curl --parallel",
            Self::Requests => "Python requests",
            Self::Httpx => "Python httpx",
            Self::Aiohttp => "Python aiohttp",
            Self::NodeAgent => "Node http.Agent",
            Self::Undici => "Node undici",
            Self::NodeHttp2 => "Node http2",
            Self::GoH1 => "Go net/http",
            Self::GoH2 => "Go net/http, HTTP/2",
            Self::JavaH1 => "Java HttpClient",
            Self::JavaH2 => "Java HttpClient, offering h2c",
        }
    }

    /// Returns its weight in the distribution of all requests: about its speed, so that all clients take about as long.
    pub(crate) const fn weight(self) -> u64 {
        match self {
            Self::Wrk => 150,
            Self::H2loadH2 => 120,
            Self::Hey | Self::Ab | Self::H2loadH1 => 60,
            Self::GoH1 | Self::GoH2 => 40,
            Self::Curl | Self::NodeHttp2 => 20,
            Self::NodeAgent | Self::Undici => 12,
            Self::Aiohttp | Self::JavaH1 | Self::JavaH2 => 8,
            Self::Requests => 5,
            Self::Httpx => 1,
        }
    }

    /// Returns how many requests may be in flight when the client ends its run: the app has counted them, and the
    /// client has not.
    pub(crate) const fn left_in_flight(self) -> u64 {
        match self {
            Self::Wrk => CONCURRENCY,
            _ => 0,
        }
    }

    /// Returns how many further requests may be in flight on a connection when it is retired; they are answered.
    pub(crate) const fn streams_in_flight(self) -> u64 {
        match self {
            Self::H2loadH2 => STREAMS,
            // Servers usually allow 250 or fewer; the app's hyper allows 200.
            Self::NodeHttp2 | Self::GoH2 => 250,
            _ => 0,
        }
    }

    /// Returns how many connections it has at a time, which may be below their limit in the end.
    pub(crate) const fn concurrent_connections(self, limit: u64, requests: u64) -> u64 {
        match self {
            Self::H2loadH2 => h2load_connections(limit, requests),
            // Pools sometimes open more connections than they need; hey was observed with 18.
            _ => 2 * CONCURRENCY,
        }
    }

    /// Returns the format of its output.
    pub(crate) const fn output_format(self) -> OutputFormat {
        match self {
            Self::Wrk => OutputFormat::Wrk,
            Self::Hey => OutputFormat::Hey,
            Self::Ab => OutputFormat::Ab,
            Self::H2loadH1 | Self::H2loadH2 => OutputFormat::H2load,
            Self::Curl => OutputFormat::Curl,
            Self::Requests
            | Self::Httpx
            | Self::Aiohttp
            | Self::NodeAgent
            | Self::Undici
            | Self::NodeHttp2
            | Self::GoH1
            | Self::GoH2
            | Self::JavaH1
            | Self::JavaH2 => OutputFormat::Json,
        }
    }

    /// Returns the command that sends the requests of a job.
    pub(crate) fn command(self, programs: &Programs, body: &Path, job: Job<'_>) -> Result<Command> {
        let on_path = |name: &str| Programs::on_path(name).map(Command::new);
        let installed = |path: &str| programs.installed(path).map(Command::new);
        let python = |script: &str| -> Result<Command> {
            let mut command = Command::new(programs.installed("python/bin/python")?);
            command.arg(programs.source("python").join(script));
            Ok(ours(command, job))
        };
        let node = |script: &str| -> Result<Command> {
            let mut command = on_path("node")?;
            command.arg(programs.installed(&format!("node/{script}"))?);
            Ok(ours(command, job))
        };
        let protocol = |mut command: Command, protocol: &str| {
            command.arg(protocol);
            command
        };
        Ok(match self {
            Self::Wrk => wrk(on_path("wrk")?, &programs.source("wrk.lua"), job),
            Self::Hey => tool(installed("bin/hey")?, job.in_whole_rounds(), &["-m", "POST", "-D"], body, job.url),
            Self::Ab => tool(on_path("ab")?, job.requests.max(CONCURRENCY), &["-k", "-r", "-q", "-p"], body, job.url),
            Self::H2loadH1 => tool(on_path("h2load")?, job.requests.max(CONCURRENCY), &["--h1", "-d"], body, job.url),
            Self::H2loadH2 => h2load(on_path("h2load")?, body, job),
            Self::Curl => curl(on_path("curl")?, body, job),
            Self::Requests => python("requests_client.py")?,
            Self::Httpx => python("httpx_client.py")?,
            Self::Aiohttp => python("aiohttp_client.py")?,
            Self::NodeAgent => node("http_agent.mjs")?,
            Self::Undici => node("undici.mjs")?,
            Self::NodeHttp2 => node("http2.mjs")?,
            Self::GoH1 => protocol(ours(installed("bin/net-http")?, job), "h1"),
            Self::GoH2 => protocol(ours(installed("bin/net-http")?, job), "h2"),
            Self::JavaH1 => protocol(java(on_path("java")?, programs, job)?, "h1"),
            Self::JavaH2 => protocol(java(on_path("java")?, programs, job)?, "h2"),
        })
    }
}

/// Concurrent requests.
const CONCURRENCY: u64 = 16;
/// Concurrent streams on each HTTP/2 connection of h2load.
const STREAMS: u64 = 10;

impl Job<'_> {
    /// Returns a multiple of the concurrency: hey gives each of its workers the same number.
    fn in_whole_rounds(&self) -> u64 {
        self.requests.next_multiple_of(CONCURRENCY)
    }
}

fn ours(mut command: Command, job: Job<'_>) -> Command {
    command.args([job.url, &job.requests.to_string(), &CONCURRENCY.to_string()]);
    command
}

fn java(mut command: Command, programs: &Programs, job: Job<'_>) -> Result<Command> {
    command.arg("-cp").arg(programs.installed("java")?).arg("Client");
    Ok(ours(command, job))
}

/// The load generators have the same options for the number of requests and of connections.
fn tool(mut command: Command, requests: u64, options: &[&str], body: &Path, url: &str) -> Command {
    command.args(["-n", &requests.to_string(), "-c", &CONCURRENCY.to_string()]);
    command.args(options).arg(body).arg(url);
    command
}

fn wrk(mut command: Command, script: &Path, job: Job<'_>) -> Command {
    let seconds = job.rate.map_or(1, |rate| (job.requests / rate).clamp(1, 20));
    command.args(["-t1", &format!("-c{CONCURRENCY}"), &format!("-d{seconds}s"), "--timeout", "60s", "-s"]);
    command.arg(script).arg(job.url);
    command
}

/// h2load does not replace a connection that has received GOAWAY. So it opens many from the start, and each gets as
/// many requests as it can send before the GOAWAY.
fn h2load(mut command: Command, body: &Path, job: Job<'_>) -> Command {
    let connections = h2load_connections(job.limit, job.requests);
    let requests = job.requests.min(connections * job.limit.max(STREAMS)).max(connections);
    command.args(["-n", &requests.to_string(), "-c", &connections.to_string(), "-m", &STREAMS.to_string(), "-d"]);
    command.arg(body).arg(job.url);
    command
}

const fn h2load_connections(limit: u64, requests: u64) -> u64 {
    let each = if limit > STREAMS { limit } else { STREAMS };
    match requests.div_ceil(each) {
        few @ 0..500 => few,
        _ => 500,
    }
}

fn curl(mut command: Command, body: &Path, job: Job<'_>) -> Command {
    command.args(["--silent", "--parallel", "--parallel-max", &CONCURRENCY.to_string(), "--max-time", "60"]);
    command.arg("--data-binary").arg(format!("@{}", body.display()));
    command.args(["--output", "/dev/null", "--write-out", "%{http_code} %{size_download} %{exitcode} %{errormsg}\n"]);
    command.arg(format!("{}?[1-{}]", job.url, job.requests));
    command
}
