//! Four pods become eight under 200 clients, and a fault happens while connections move.

use std::time::Duration;

use anyhow::ensure;
use e2e::{Fleet, Protocol, TestNamespace, in_namespace};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::fault::Fault;
use crate::mode::Mode;
use crate::phase::{Change, Phase, change_beside, opened};
use crate::rates::intervals;
use crate::scale_out::{AFTER, BEFORE, CLIENTS, MORE_PODS, Plan, RATE, SIGMA, web};

/// The interval at which it is polled whether a connection has moved.
const POLL: Duration = Duration::from_millis(200);
/// The time within which the first connection must have moved.
const BEGINS_WITHIN: Duration = Duration::from_mins(3);

/// The outcome.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Disturbed {
    /// The fault.
    pub(crate) fault: String,
    /// The figures, without a pod that the balancer could no longer reach.
    pub(crate) scale_out: Phase,
    /// Connections that had moved until then.
    pub(crate) moved_before: usize,
    /// Connections that moved later.
    pub(crate) moved_afterwards: usize,
    pub(crate) failed: u64,
}

/// Causes the fault as soon as the first connection has moved.
pub(crate) async fn run(protocol: Protocol, fault: Fault, plan: Plan) -> anyhow::Result<Disturbed> {
    in_namespace("disturbed", move |namespace| scale_out_with_fault(namespace, protocol, fault, plan)).await
}

async fn scale_out_with_fault(
    namespace: TestNamespace,
    protocol: Protocol,
    fault: Fault,
    plan: Plan,
) -> anyhow::Result<Disturbed> {
    let address = namespace.deploy(&web(Mode::Balance)?).await?;
    let fleet = Fleet::at_intervals(protocol, address, &intervals(CLIENTS, RATE, SIGMA, plan.seed)?);
    fleet.observe(BEFORE).await;
    let from = Instant::now();
    let left_out = fault.leaves_out(&namespace).await?;
    let scale_out = change_beside(&namespace, &fleet, CLIENTS, Change::Scale(MORE_PODS), AFTER, left_out.as_deref());
    let (scale_out, disturbed_at) = tokio::try_join!(scale_out, disturb(&namespace, &fleet, from, &fault))?;
    let moved_afterwards = opened(&fleet.events(), disturbed_at);
    let moved_before = opened(&fleet.events(), from) - moved_afterwards;
    let failed = fleet.finish().await.failures();
    println!("{protocol}, {fault}: {scale_out}; {moved_before} moved before, {moved_afterwards} afterwards");
    Ok(Disturbed { fault: fault.to_string(), scale_out, moved_before, moved_afterwards, failed })
}

/// Waits until a connection has moved since `from`, and causes the fault. Returns when that began.
async fn disturb(namespace: &TestNamespace, fleet: &Fleet, from: Instant, fault: &Fault) -> anyhow::Result<Instant> {
    while opened(&fleet.events(), from) == 0 {
        ensure!(from.elapsed() < BEGINS_WITHIN, "no connection has moved within {BEGINS_WITHIN:?}");
        sleep(POLL).await;
    }
    let at = Instant::now();
    fault.happen(namespace).await?;
    Ok(at)
}
