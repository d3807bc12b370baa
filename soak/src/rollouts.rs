//! Rollouts under load, with the processes of pods started and stopped in the kubelet's order.

mod pod;
mod service;
mod traffic;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::pod::{Pod, PodShutdown};
use self::service::{MAX_DELAY, Service};
use self::traffic::{Seen, Traffic};
use crate::programs::Programs;
use crate::report::{Report, Table, Verdict, count};

/// Pods replaced under load in the kubelet's order, behind a Service that learns of it late: no request fails.
///
/// A rollout starts new pods, waits until they are ready, adds them to the Service, and ends the old ones: `drain` and
/// `GET /drained` together, then SIGTERM to the app, which exits at once, then SIGTERM to the proxy. Every node learns
/// of it late, and sends new connections to the old pods meanwhile. HTTP/1.1 and HTTP/2 clients send POST requests
/// throughout, which they do not retry.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Rollouts in total; the long run takes 200
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    rollouts: u32,
    /// Deployments side by side
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=16))]
    deployments: u32,
    /// Pods of a deployment; a rollout replaces them all at once
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    pods: u8,
    /// Requests per second of each client; there are 4 with HTTP/1.1 and 4 with HTTP/2 for each deployment
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
}

/// The outcome of one deployment.
#[derive(Debug, Default)]
struct Outcome {
    rollouts: u32,
    http1: Seen,
    http2: Seen,
    /// Requests that the apps have counted.
    served: u64,
    shutdowns: Vec<PodShutdown>,
}

pub(crate) async fn run(programs: &Programs, options: &Options) -> Result<Report> {
    let begun = Instant::now();
    let mut deployments = JoinSet::new();
    for number in 0..options.deployments {
        // The first deployments take the remainder.
        let rollouts = (options.rollouts + options.deployments - 1 - number) / options.deployments;
        let (programs, pods, rate) = (programs.clone(), options.pods, options.rate);
        deployments.spawn(async move { deployment(&programs, number, rollouts, pods, rate).await });
    }
    let mut all = Outcome::default();
    while let Some(outcome) = deployments.join_next().await {
        let outcome = outcome??;
        all.rollouts += outcome.rollouts;
        all.http1 += outcome.http1;
        all.http2 += outcome.http2;
        all.served += outcome.served;
        all.shutdowns.extend(outcome.shutdowns);
    }
    Ok(report(options, all, begun))
}

async fn deployment(programs: &Programs, number: u32, rollouts: u32, pods: u8, rate: u32) -> Result<Outcome> {
    let mut outcome = Outcome { rollouts, ..Outcome::default() };
    let mut old = start(programs, pods).await?;
    let service = Service::of(&addresses(&old));
    let traffic = Traffic::start(&service, rate);
    for rollout in 0..rollouts {
        let new = start(programs, pods).await?;
        service.set_endpoints(&addresses(&new));
        let shutdowns = end(std::mem::replace(&mut old, new)).await;
        outcome.add(shutdowns.with_context(|| format!("rollout {rollout} of deployment {number}"))?);
        let failed = traffic.failed();
        eprintln!("deployment {number}: rollout {} of {rollouts} done, {failed} requests failed so far", rollout + 1);
    }
    (outcome.http1, outcome.http2) = traffic.end().await?;
    // The clients have ended: these pods are stopped only to be counted.
    for pod in &old {
        outcome.served += pod.served().await?;
    }
    Ok(outcome)
}

async fn start(programs: &Programs, pods: u8) -> Result<Vec<Pod>> {
    let mut started = Vec::new();
    for _ in 0..pods {
        started.push(Pod::start(programs).await.context("a new pod")?);
    }
    Ok(started)
}

async fn end(pods: Vec<Pod>) -> Result<Vec<PodShutdown>> {
    let mut ending: JoinSet<Result<PodShutdown>> = pods.into_iter().map(Pod::end).collect();
    let mut shutdowns = Vec::new();
    while let Some(shutdown) = ending.join_next().await {
        shutdowns.push(shutdown??);
    }
    Ok(shutdowns)
}

fn addresses(pods: &[Pod]) -> Vec<SocketAddr> {
    pods.iter().map(Pod::address).collect()
}

impl Outcome {
    fn add(&mut self, shutdowns: Vec<PodShutdown>) {
        self.served += shutdowns.iter().map(|shutdown| shutdown.served).sum::<u64>();
        self.shutdowns.extend(shutdowns);
    }
}

fn report(options: &Options, all: Outcome, begun: Instant) -> Report {
    let how = format!(
        "{} rollouts of {} pods each, in the kubelet's order, of an app that exits at once on SIGTERM; nodes hear of it up \
         to {MAX_DELAY:?} late.",
        all.rollouts, options.pods
    );
    let mut report = Report::of("rollouts", begun, how);
    let (answered, failed) =
        (all.http1.answered + all.http2.answered, all.http1.failures.len() + all.http2.failures.len());
    let left: usize = all.shutdowns.iter().filter(|shutdown| !shutdown.drained).count();
    report.verdicts = vec![
        Verdict::new("0 requests fail", format!("{failed} of {}", count(answered + failed as u64)), failed == 0),
        // A lower count is no loss: a busy node may send a connection to a pod between its last count and its SIGTERM.
        Verdict::new(
            "the apps received no more requests than were answered",
            format!("{} at the apps, {} answered", count(all.served), count(answered)),
            all.served <= answered,
        ),
        Verdict::new("every drain ends with the last connection", format!("{left} did not"), left == 0),
    ];
    let seen = |name: &str, seen: &Seen| vec![name.to_owned(), count(seen.answered), seen.failures.len().to_string()];
    report.table =
        Table::new(["clients", "answered", "failed"], vec![seen("HTTP/1.1", &all.http1), seen("HTTP/2", &all.http2)]);
    let mut drains: Vec<Duration> = all.shutdowns.iter().map(|shutdown| shutdown.drain).collect();
    drains.sort_unstable();
    if let (Some(median), Some(longest)) = (drains.get(drains.len() / 2), drains.last()) {
        report.notes.push(format!("drains took {median:.1?} in the median and {longest:.1?} at most"));
    }
    report.notes.extend(all.http1.failures.into_iter().chain(all.http2.failures).take(20));
    report
}
