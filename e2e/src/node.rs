//! Draining a node, and making it schedulable again.

use std::process::Stdio;

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::{Api, Client};
use tokio::process::Command;

/// Returns the nodes that accept pods.
pub async fn workers(client: &Client) -> anyhow::Result<Vec<String>> {
    let nodes = Api::<Node>::all(client.clone()).list(&ListParams::default()).await?;
    Ok(nodes.items.iter().filter(|node| takes_pods(node)).map(kube::ResourceExt::name_any).collect())
}

fn takes_pods(node: &Node) -> bool {
    node.spec.as_ref().is_none_or(|spec| {
        let taints = spec.taints.iter().flatten();
        !spec.unschedulable.unwrap_or(false) && taints.into_iter().all(|taint| taint.effect == "PreferNoSchedule")
    })
}

/// Drains a node with `kubectl drain`, which respects disruption budgets, and makes it schedulable again.
pub async fn empty_node(node: &str) -> anyhow::Result<()> {
    let drained = kubectl(&["drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout", "4m"]).await;
    kubectl(&["uncordon", node]).await?;
    drained
}

async fn kubectl(arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new("kubectl");
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.context("kubectl, with which nodes are drained")?;
    ensure!(output.status.success(), "kubectl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
