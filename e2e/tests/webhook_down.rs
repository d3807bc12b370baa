//! Promise: pods always start. Without a webhook, a workload is admitted unchanged and runs, and kubectl prints that
//! the sidecar is missing. Once the webhook is back, the next edit injects it.

use std::time::Duration;

use anyhow::ensure;
use e2e::{TestNamespace, Web, Webhook, in_namespace, program, sidecar};
use tokio::time::Instant;

/// `timeoutSeconds` of the webhook configuration is at most 5; the API server needs a moment of its own.
const ADMITTED_WITHIN: Duration = Duration::from_secs(8);

#[tokio::test]
async fn without_the_webhook_workloads_are_admitted_and_run() -> anyhow::Result<()> {
    in_namespace("webhook-down", |namespace| async move {
        let webhook = Webhook::of(&namespace).await?;
        webhook.stop().await?;
        let outcome = admit_annotated(&namespace).await;
        webhook.start().await?;
        outcome?;
        ensure!(sidecar(&namespace.deployment("web").await?).is_none(), "a sidecar was injected without a webhook");
        namespace.wait_for_event("web", "InjectionMissed").await?;

        namespace.annotate("web", &[("evenkeel.dev/max-requests", Some("200"))]).await?;
        ensure!(
            sidecar(&namespace.deployment("web").await?).is_some(),
            "an edit after the return of the webhook injected no sidecar"
        );
        Ok(())
    })
    .await
}

async fn admit_annotated(namespace: &TestNamespace) -> anyhow::Result<()> {
    let web = Web::sample()?.annotation("evenkeel.dev/max-requests", "100");
    let started = Instant::now();
    let (_, warnings) = namespace.create(web.deployment()).await?;
    println!("without the webhook: admitted after {:.1?}", started.elapsed());
    ensure!(started.elapsed() < ADMITTED_WITHIN, "admitted only after {:?}", started.elapsed());
    ensure!(
        matches!(&warnings[..], [warning] if warning.contains("evenkeel's webhook was away")),
        "unexpected warnings of kubectl: {warnings:?}"
    );
    let (_, report) = program::evenkeel_finds(&["check", "--namespace", namespace.name(), "--interval", "1"])?;
    ensure!(report.contains("[webhook-unreached]") && report.contains("[not-reviewed]"), "not found: {report}");
    namespace.wait_for_rollout("web").await
}
