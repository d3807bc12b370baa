//! Long runs against the recycling proxy: real clients whose connections are recycled, rollouts under load, and hostile
//! clients. Requests are counted at the clients and at the app.
//!
//! Exit code 0: every goal is met. 1: one is missed. 2: the run could not be made.

mod clients;
mod goaway;
mod hostile;
mod lane;
mod machine;
mod pace;
mod programs;
mod quantile;
mod recycles;
mod report;
mod rollouts;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use crate::programs::Programs;
use crate::report::Report;

/// Long runs against the recycling proxy, counted at both ends.
///
/// Each command is bounded in count and in time. Its defaults are as small as CI needs them. It writes
/// target/soak/COMMAND.md and COMMAND.json and prints the first. It exits with 0 if every goal is met, 1 if one is
/// missed, and 2 if the run could not be made. soak/install.sh installs the clients.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// The recycling-proxy to test [default: target/static/recycling-proxy]
    #[arg(long, global = true, value_name = "PATH")]
    proxy: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Real clients at limits 1, 2, 10 and 1000: no request is lost while their connections are recycled.
    Clients(clients::Options),
    /// HTTP/2 clients at limits 1, 10 and 100, beside nginx and Envoy: how many requests each loses at a GOAWAY.
    Goaway(goaway::Options),
    /// Pods replaced under load in the kubelet's order, behind a Service that learns of it late: no request fails.
    Rollouts(rollouts::Options),
    /// Thousands of recycles per second: the system never runs out of ports for connections to the app.
    Recycles(recycles::Options),
    /// Slow, silent and greedy clients: the p99 of a legitimate client at most doubles.
    Hostile(hostile::Options),
    /// Joins the reports of the commands that have run into soak/RESULTS.md.
    Report,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("soak: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Returns whether every goal is met.
async fn run(cli: Cli) -> Result<bool> {
    daemon::raise_descriptor_limit();
    let programs = Programs::find(cli.proxy)?;
    let report = match cli.command {
        Command::Clients(options) => clients::run(&programs, &options).await.context("clients")?,
        Command::Goaway(options) => goaway::run(&programs, &options).await.context("goaway")?,
        Command::Rollouts(options) => rollouts::run(&programs, &options).await.context("rollouts")?,
        Command::Recycles(options) => recycles::run(&programs, &options).await.context("recycles")?,
        Command::Hostile(options) => hostile::run(&programs, &options).await.context("hostile")?,
        Command::Report => {
            report::join(&programs.results())?;
            return Ok(true);
        }
    };
    finish(&report, &programs)
}

fn finish(report: &Report, programs: &Programs) -> Result<bool> {
    report.write(&programs.results())?;
    println!("{report}");
    Ok(report.goals_are_met())
}
