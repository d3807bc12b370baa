//! Long runs against the recycling proxy: real clients that recycle for as long as one likes, rollouts under load, and
//! hostile clients that take what they can get. What was sent is counted at the clients and at the app.
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
/// Each command is bounded in count and in time, and as small as CI needs it unless told otherwise. It writes
/// target/soak/COMMAND.md and COMMAND.json, prints the first, and exits with 0 where every goal is met, with 1 where one
/// is missed, and with 2 where the run could not be made. soak/install.sh brings what is needed.
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
    /// HTTP/2 clients at limits 1, 10 and 100, beside nginx and Envoy: what each loses when its connection is retired.
    Goaway(goaway::Options),
    /// Pods replaced under load in the kubelet's order, with a Service that learns of it late: no request fails.
    Rollouts(rollouts::Options),
    /// Thousands of recycles a second: the system never runs out of ports for connections to the app.
    Recycles(recycles::Options),
    /// Slow, silent and greedy clients: a legitimate one hardly notices.
    Hostile(hostile::Options),
    /// Joins the reports of the commands that were run into soak/RESULTS.md.
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

/// Whether every goal is met.
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
