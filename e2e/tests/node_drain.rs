//! Promise: draining the nodes one after the other under load loses no request. Unlike in a rollout, all pods of a node
//! go at once, as far as the disruption budget of their workload allows.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::{
    Fleets, Load, Losses, Mitigation, OnTerm, ShutdownCase, TestNamespace, empty_node, in_namespace, record, workers,
};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Client;
use serde_json::json;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

/// Of each protocol and app.
const LOAD: Load = Load { clients: 12, interval: Duration::from_millis(250) };
const PODS: i32 = 4;
const WITHOUT: ShutdownCase = ShutdownCase { on_term: OnTerm::Exit, mitigation: Mitigation::Nothing };

#[tokio::test]
#[ignore = "needs two nodes that take pods: make e2e-nodes"]
async fn draining_nodes_loses_no_request() -> anyhow::Result<()> {
    let nodes = workers(&Client::try_default().await?).await?;
    ensure!(
        nodes.len() >= 2,
        "this test needs two nodes that accept pods, as in e2e/kind/two-workers.yaml; there are {nodes:?}"
    );
    let mut apps = ShutdownCase::with_each(&[Mitigation::Redirect, Mitigation::NamedPort]);
    apps.push(WITHOUT);
    let losses = while_emptied(&nodes, &apps).await?;
    record("node_drain", &losses)?;

    let (without, with): (Vec<_>, Vec<_>) = losses.iter().partition(|losses| losses.app == WITHOUT);
    for losses in with {
        ensure!(losses.answered() > 0, "no request was answered: {losses}");
        ensure!(losses.failed() == 0, "requests were lost: {losses}");
    }
    let lost: u64 = without.into_iter().map(Losses::failed).sum();
    ensure!(lost > 0, "no request failed without evenkeel: the loss that this test shows is gone");
    Ok(())
}

/// Returns what the clients of each app lose while each node is emptied once.
async fn while_emptied(nodes: &[String], apps: &[ShutdownCase]) -> anyhow::Result<Vec<Losses>> {
    let over = watch::Sender::new(false);
    let (mut running, mut loaded) = (JoinSet::new(), Vec::new());
    for &app in apps {
        let (sender, receiver) = oneshot::channel();
        loaded.push(receiver);
        let (over, times) = (over.subscribe(), nodes.len().try_into()?);
        running.spawn(in_namespace("node-drain", move |namespace| under_load(namespace, app, times, sender, over)));
    }
    let emptied = empty_each(nodes, loaded).await;
    over.send_replace(true);
    let mut all = Vec::new();
    while let Some(losses) = running.join_next().await {
        all.extend(losses??);
    }
    Losses::print(&mut all);
    emptied.map(|()| all)
}

async fn empty_each(nodes: &[String], loaded: Vec<oneshot::Receiver<()>>) -> anyhow::Result<()> {
    for loaded in loaded {
        loaded.await.context("an app did not become ready")?;
    }
    for node in nodes {
        empty_node(node).await?;
    }
    Ok(())
}

/// An app under load from when it says so until it is over.
async fn under_load(
    namespace: TestNamespace,
    app: ShutdownCase,
    times: u32,
    loaded: oneshot::Sender<()>,
    mut over: watch::Receiver<bool>,
) -> anyhow::Result<Vec<Losses>> {
    let address = namespace.deploy(&app.web(PODS)?).await?;
    namespace.apply(&budget()?).await?;
    let fleets = Fleets::start(&namespace.on_every_node(address), LOAD);
    // Whoever waits for it may have given up, and then it is over.
    let _ = loaded.send(());
    over.wait_for(|over| *over).await?;
    namespace.wait_for_rollout("web").await?;
    Ok(fleets.finish(app, times).await)
}

/// Half of the pods may be missing.
fn budget() -> anyhow::Result<PodDisruptionBudget> {
    Ok(serde_json::from_value(json!({
        "metadata": { "name": "web" },
        "spec": { "minAvailable": PODS / 2, "selector": { "matchLabels": { "app": "web" } } },
    }))?)
}
