//! 200 clients at uneven rates: four pods become eight, rest, three rollouts, and back to four pods.

use std::time::Duration;

use clap::ValueEnum;
use e2e::{Fleet, Protocol, TestNamespace, Web, in_namespace};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::course::{answers, course};
use crate::mode::Mode;
use crate::phase::{Change, Phase, change, opened};
use crate::rates::intervals;
use crate::simulated::{Simulated, simulate};

pub(crate) const CLIENTS: usize = 200;
/// Requests per second of a client, in the mean.
pub(crate) const RATE: f64 = 2.0;
/// The skew of the clients: σ of the log-normal distribution of their rates.
pub(crate) const SIGMA: f64 = 0.8;
const PODS: u32 = 4;
pub(crate) const MORE_PODS: u32 = 8;
const ROLLOUTS: u32 = 3;
/// The time before the scale-out, in which proxies estimate the rates.
pub(crate) const BEFORE: Duration = Duration::from_secs(30);
/// The time after the scale-out, as long as `evenkeel simulate` has by default.
pub(crate) const AFTER: Duration = Duration::from_mins(2);
/// The time after a rollout or a scale-in.
const AGAIN: Duration = Duration::from_mins(1);

/// The figures of a protocol's clients in each mode.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct ScaleOut {
    pub(crate) protocol: String,
    pub(crate) lanes: Vec<Lane>,
}

/// The figures of the clients of one workload.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Lane {
    pub(crate) mode: String,
    pub(crate) scale_out: Phase,
    pub(crate) simulated: Simulated,
    /// The time after it without a change. With balancing, connections should stay open in it.
    pub(crate) rest: Option<Rest>,
    /// Three rollouts and a scale-in.
    pub(crate) again: Vec<Phase>,
    /// The failures of the whole run.
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    /// The first failures in full.
    pub(crate) failures: Vec<String>,
}

/// A period without a change.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Rest {
    pub(crate) seconds: u64,
    /// Connections that clients opened.
    pub(crate) opened: usize,
    /// The busiest pod against the mean, in the worst five seconds.
    pub(crate) worst: f64,
}

/// The extent of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) rest: Duration,
    /// The modes in which rollouts and a scale-in follow.
    pub(crate) again: Again,
    pub(crate) seed: u64,
}

/// The modes in which rollouts and a scale-in follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Again {
    All,
    Balance,
    None,
}

impl Again {
    fn includes(self, mode: Mode) -> bool {
        match self {
            Self::All => true,
            Self::Balance => mode == Mode::Balance,
            Self::None => false,
        }
    }
}

/// Runs the modes side by side, each with a workload and clients of its own.
pub(crate) async fn run(protocol: Protocol, modes: &[Mode], plan: Plan) -> anyhow::Result<ScaleOut> {
    let intervals = intervals(CLIENTS, RATE, SIGMA, plan.seed)?;
    let mut running = JoinSet::new();
    for (place, &mode) in modes.iter().enumerate() {
        let intervals = intervals.clone();
        running.spawn(async move {
            let lane =
                in_namespace("scale-out", move |namespace| lane(namespace, protocol, mode, intervals, plan)).await;
            (place, lane)
        });
    }
    let mut lanes = running.join_all().await;
    lanes.sort_by_key(|(place, _)| *place);
    let lanes = lanes.into_iter().map(|(_, lane)| lane).collect::<anyhow::Result<_>>()?;
    Ok(ScaleOut { protocol: protocol.to_string(), lanes })
}

async fn lane(
    namespace: TestNamespace,
    protocol: Protocol,
    mode: Mode,
    intervals: Vec<Duration>,
    plan: Plan,
) -> anyhow::Result<Lane> {
    let address = namespace.deploy(&web(mode)?).await?;
    let fleet = Fleet::at_intervals(protocol, address, &intervals);
    fleet.observe(BEFORE).await;
    let scale_out = change(&namespace, &fleet, CLIENTS, Change::Scale(MORE_PODS), AFTER).await?;
    println!("{protocol}, {mode}: {scale_out}");
    let rest = if mode == Mode::Balance { Some(rest(&namespace, &fleet, plan.rest).await?) } else { None };
    let mut again = Vec::new();
    if plan.again.includes(mode) {
        for rollout in 1..=ROLLOUTS {
            again.push(change(&namespace, &fleet, CLIENTS, Change::Rollout(rollout), AGAIN).await?);
        }
        again.push(change(&namespace, &fleet, CLIENTS, Change::Scale(PODS), AGAIN).await?);
    }
    for phase in &again {
        println!("{protocol}, {mode}: {phase}");
    }
    let simulated = simulate(&scenario(protocol, &scale_out), mode)?;
    let all = fleet.finish().await;
    let (answered, failed) = (all.answered, all.failures());
    Ok(Lane { mode: mode.to_string(), scale_out, simulated, rest, again, answered, failed, failures: all.examples })
}

/// Returns the workload before the scale-out.
pub(crate) fn web(mode: Mode) -> anyhow::Result<Web> {
    Ok(mode.annotate(Web::sample()?.replicas(PODS.try_into()?)))
}

async fn rest(namespace: &TestNamespace, fleet: &Fleet, time: Duration) -> anyhow::Result<Rest> {
    let from = Instant::now();
    tokio::time::sleep(time).await;
    let events = fleet.events();
    let course = course(&answers(&events, from), &namespace.pod_names().await?, usize::try_from(time.as_secs())?);
    let rest =
        Rest { seconds: time.as_secs(), opened: opened(&events, from), worst: course.into_iter().fold(0.0, f64::max) };
    println!("at rest: {rest:?}");
    Ok(rest)
}

/// Returns the arguments of `evenkeel simulate` for the same clients and pods, with the measured times of readiness.
fn scenario(protocol: Protocol, phase: &Phase) -> Vec<String> {
    let protocol = if protocol == Protocol::Http1 { "http1" } else { "http2" };
    let mut arguments: Vec<String> = ["--protocol", protocol].map(str::to_owned).to_vec();
    let numbers = [("--clients", CLIENTS.to_string()), ("--rate", RATE.to_string()), ("--sigma", SIGMA.to_string())];
    arguments.extend(numbers.into_iter().flat_map(|(name, value)| [name.to_owned(), value]));
    arguments.extend(["--pods".to_owned(), PODS.to_string()]);
    arguments.extend(crate::simulated::events(&phase.ready));
    arguments
}
