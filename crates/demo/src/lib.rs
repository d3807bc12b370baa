//! `evenkeel demo`: shows recycling on one machine, without a cluster.
//!
//! It starts the webhook, apps and recycling proxies as processes, injects a Deployment by a review, puts a load on the
//! proxies, scales out, and prints how the load is distributed without and with recycling. The processes are those of a
//! cluster; a TCP proxy stands in for the Service, and there are no nftables rules. All processes listen on loopback
//! and end with the demo.

mod act;
mod addresses;
mod bars;
mod binaries;
mod certificates;
mod clients;
mod manifest;
mod picture;
mod pod_spec;
mod pods;
mod probe;
mod process;
mod report;
mod review;
mod screen;
mod service;
mod story;
mod tally;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use settings::MaxRequests;
use tokio::signal::unix::{SignalKind, signal};

use screen::Screen;

/// What a shell reports of a program that was interrupted.
const INTERRUPTED: u8 = 130;

/// See evenkeel's effect on this machine, with no cluster.
///
/// A Deployment is reviewed by the real webhook over TLS. Pods are started from what it injected: the real recycling
/// proxy with those settings, in front of a real server. Keep-alive clients send requests through a stand-in for a
/// Service, which picks a pod at random for each connection, as kube-proxy does; after a third of the time pods are
/// added. First without recycling, then with it.
///
/// The exit code is 0 if no request failed and all pods had their share in the end.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  evenkeel demo\n  evenkeel demo --pods-before 1 --pods-after 5 --max-requests 10\n  \
                        evenkeel demo --svg share.svg"
)]
pub struct Args {
    /// Seconds for each of the two acts: pods are added after the first third, shares measured in the last
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u16).range(3..=600))]
    seconds: u16,
    /// Clients, each with one keep-alive connection
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u16).range(1..=1000))]
    clients: u16,
    /// Requests per second of each client
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rate: u16,
    /// Requests after which a connection is retired
    #[arg(long, value_name = "N", default_value = "20")]
    max_requests: MaxRequests,
    /// Pods at the beginning
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    pods_before: u8,
    /// Pods in the end
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=16))]
    pods_after: u8,
    /// The seed by which clients get their pods [default: random]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Draw both acts into this file, as SVG
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// No colours; a `NO_COLOR` in the environment says the same
    #[arg(long)]
    no_color: bool,
}

/// Arguments that do not go together.
#[derive(Debug, thiserror::Error)]
#[error("--pods-after must not be below --pods-before: the demo adds pods")]
pub struct FewerPods;

impl Args {
    /// Returns the arguments if they go together.
    pub fn checked(self) -> Result<Self, FewerPods> {
        if self.pods_after < self.pods_before { Err(FewerPods) } else { Ok(self) }
    }
}

/// Plays the demo with arguments that go together.
pub fn run(args: &Args) -> Result<ExitCode> {
    let no_color = args.no_color || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let mut screen = Screen::of_stdout(!no_color);
    // One thread: the clients need little, and the machine's cores are for the pods.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminated = signal(SignalKind::terminate())?;
        // Whoever loses is dropped, and with the story every process that it has started.
        tokio::select! {
            ended = story::run(args, &mut screen) => ended,
            interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| ExitCode::from(INTERRUPTED)).map_err(Into::into),
            _ = terminated.recv() => Ok(ExitCode::from(INTERRUPTED)),
        }
    })
}
