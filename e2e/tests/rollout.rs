//! Promise: a rollout and a scale-in under load lose no request, though the app exits on SIGTERM at once and has no
//! `preStop` hook of its own.

use std::time::Duration;

use anyhow::ensure;
use e2e::{Figures, Fleet, Load, TestNamespace, Web, in_namespace, record};
use serde_json::json;

const LOAD: Load = Load { clients: 40, interval: Duration::from_millis(100) };
const ROLLOUTS: u32 = 2;

#[tokio::test]
async fn rollouts_and_scale_in_lose_no_request() -> anyhow::Result<()> {
    let plain = Web::sample()?.replicas(4).args(&["--on-term", "exit"]);
    let recycled = plain.clone().annotation("evenkeel.dev/max-requests", "100");
    let without = in_namespace("rollout", |namespace| disturb(namespace, plain)).await?;
    println!("{ROLLOUTS} rollouts and a scale-in without evenkeel: {without}");
    let with = in_namespace("rollout", |namespace| disturb(namespace, recycled)).await?;
    println!("{ROLLOUTS} rollouts and a scale-in with evenkeel: {with}");
    record("rollout", &json!({ "without": without, "with": with }))?;

    ensure!(without.failures() > 0, "nothing is lost without evenkeel: what is shown here is gone");
    ensure!(with.failures() == 0, "with evenkeel {} requests were lost", with.failures());
    Ok(())
}

/// Replaces all pods, more than once, and takes half of them away, under load.
async fn disturb(namespace: TestNamespace, web: Web) -> anyhow::Result<Figures> {
    let address = namespace.deploy(&web).await?;
    let fleet = Fleet::start(address, LOAD);
    for rollout in 1..=ROLLOUTS {
        namespace.restart("web", &rollout.to_string()).await?;
    }
    namespace.scale("web", 2).await?;
    Ok(fleet.finish().await)
}
