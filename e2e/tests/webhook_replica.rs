//! Promise: one of two webhook replicas may be deleted, gracefully or by force, and every workload still gets its
//! sidecar.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::ensure;
use e2e::{TestNamespace, Web, Webhook, in_namespace, record, sidecar};
use k8s_openapi::api::apps::v1::Deployment;
use serde::Serialize;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval};

/// The time between two workloads.
const INTERVAL: Duration = Duration::from_millis(50);

#[tokio::test]
async fn replacing_a_webhook_replica_misses_no_injection() -> anyhow::Result<()> {
    in_namespace("webhook-replica", |namespace| async move {
        let webhook = Webhook::of(&namespace).await?;
        let web = Web::sample()?.replicas(0).annotation("evenkeel.dev/max-requests", "100");
        namespace.create(web.deployment()).await?;

        let stream = Stream::start(namespace.clone(), web.deployment().clone());
        webhook.lose_a_replica(None).await?;
        webhook.lose_a_replica(Some(0)).await?;
        let figures = stream.finish().await?;
        println!("one replica deleted, then another by force: {figures:?}");
        record("webhook-replica", &figures)?;
        ensure!(figures.injected > 0 && figures.bare == 0 && figures.refused == 0, "{figures:?}");
        Ok(())
    })
    .await
}

/// Creates and edits Deployments in turn, at a fixed rate, as dry runs.
struct Stream {
    end: Arc<AtomicBool>,
    figures: JoinHandle<anyhow::Result<Figures>>,
}

/// The numbers of their outcomes.
#[derive(Debug, Default, Serialize)]
struct Figures {
    injected: u32,
    /// Admitted without the sidecar.
    bare: u32,
    refused: u32,
}

impl Stream {
    fn start(namespace: TestNamespace, deployment: Deployment) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let figures = tokio::spawn(send(namespace, deployment, Arc::clone(&end)));
        Self { end, figures }
    }

    async fn finish(self) -> anyhow::Result<Figures> {
        self.end.store(true, Ordering::Relaxed);
        self.figures.await?
    }
}

async fn send(namespace: TestNamespace, existing: Deployment, end: Arc<AtomicBool>) -> anyhow::Result<Figures> {
    let mut clock = interval(INTERVAL);
    // On a busy machine the next one waits for the one before.
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut under_way = JoinSet::new();
    for number in 0_u32.. {
        if end.load(Ordering::Relaxed) {
            break;
        }
        clock.tick().await;
        let (namespace, mut deployment) = (namespace.clone(), existing.clone());
        under_way.spawn(async move {
            if number.is_multiple_of(2) {
                return namespace.dry_run_replace(&deployment).await;
            }
            deployment.metadata.name = Some(format!("trial-{number}"));
            namespace.dry_run(&deployment).await
        });
    }
    let mut figures = Figures::default();
    while let Some(outcome) = under_way.join_next().await {
        match outcome? {
            Ok(deployment) if sidecar(&deployment).is_some() => figures.injected += 1,
            Ok(_) => figures.bare += 1,
            Err(error) => {
                println!("refused: {error:#}");
                figures.refused += 1;
            }
        }
    }
    Ok(figures)
}
