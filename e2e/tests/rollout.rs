//! Promise: a rollout and a scale-in under load lose no request, with an app that exits on SIGTERM at once and with one
//! that shuts down gracefully, for every protocol and every interception.
//!
//! `ROLLOUTS=200 cargo test --package e2e --test e2e -- --nocapture rollout::` does more rollouts.

use std::num::NonZeroU32;
use std::time::Duration;

use anyhow::ensure;
use e2e::{Fleets, Load, Losses, Mitigation, ShutdownCase, in_namespace, record};
use test_support::environment;
use tokio::task::JoinSet;

/// The load of each protocol and app.
const LOAD: Load = Load { clients: 12, interval: Duration::from_millis(250) };
const PODS: u32 = 3;
/// The default number of rollouts of all apps.
const ROLLOUTS: NonZeroU32 = NonZeroU32::new(12).unwrap();
/// The rollouts of each app without evenkeel: enough to show losses.
const WITHOUT: u32 = 2;

#[tokio::test]
async fn rollouts_and_scale_in_lose_no_request() -> anyhow::Result<()> {
    let apps = ShutdownCase::with_each(&[Mitigation::Redirect, Mitigation::NamedPort]);
    let each = environment::number("ROLLOUTS", ROLLOUTS)?.get().div_ceil(apps.len().try_into()?);
    let losses = disturb(&apps, each).await?;
    record("rollout", &losses)?;
    for losses in losses {
        ensure!(losses.answered() > 0, "no request was answered: {losses}");
        ensure!(losses.failed() == 0, "requests were lost: {losses}");
    }
    Ok(())
}

#[tokio::test]
async fn without_evenkeel_the_same_apps_lose_requests() -> anyhow::Result<()> {
    let losses = disturb(&ShutdownCase::with_each(&[Mitigation::Nothing, Mitigation::Sleep]), WITHOUT).await?;
    record("rollout_without", &losses)?;
    let lost: u64 = losses.iter().map(Losses::failed).sum();
    ensure!(lost > 0, "no request failed without evenkeel: the loss that this test shows is gone");
    Ok(())
}

/// Replaces all pods of each app `rollouts` times, all apps side by side, and scales in to one pod at the end.
async fn disturb(apps: &[ShutdownCase], rollouts: u32) -> anyhow::Result<Vec<Losses>> {
    let mut running = JoinSet::new();
    for &app in apps {
        running.spawn(in_namespace("rollout", async move |namespace| {
            let address = namespace.deploy(&app.web(PODS.try_into()?)?).await?;
            let fleets = Fleets::start(&namespace.on_every_node(address), LOAD);
            for rollout in 1..=rollouts {
                namespace.restart("web", &rollout.to_string()).await?;
            }
            namespace.scale("web", 1).await?;
            Ok(fleets.finish(app, rollouts).await)
        }));
    }
    let mut all = Vec::new();
    while let Some(losses) = running.join_next().await {
        all.extend(losses??);
    }
    Losses::print(&mut all);
    Ok(all)
}
