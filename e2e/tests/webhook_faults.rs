//! Promise: pods always start. Whatever fault the webhook has, workloads are admitted unchanged within its timeout.
//! Once it works again, the next edit injects the sidecar.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::{Configuration, Fault, FaultyWebhook, TestNamespace, Web, in_labelled_namespace, sidecar};
use k8s_openapi::api::apps::v1::Deployment;
use tokio::time::{Instant, sleep};

/// Opts out of the installed webhook, so that only the copy of its configuration applies.
const OPTED_OUT: (&str, &str) = ("evenkeel.dev/inject", "disabled");
/// The time that an API server needs besides waiting for a webhook.
const MARGIN: Duration = Duration::from_secs(5);
/// How long an API server may take to notice a new configuration.
const NOTICED_WITHIN: Duration = Duration::from_secs(30);

#[tokio::test]
async fn workloads_are_admitted_whatever_fault_the_webhook_has() -> anyhow::Result<()> {
    in_labelled_namespace("webhook-faults", &[OPTED_OUT], |namespace| async move {
        let configuration = Configuration::for_namespace(&namespace).await?;
        // Only its metadata matters: no pod is needed.
        let web = Web::sample()?.replicas(0).annotation("evenkeel.dev/max-requests", "100");
        injected(&namespace, &web).await.context("no injection by the copy of the webhook configuration")?;

        let limit = configuration.review_timeout() + MARGIN;
        for fault in Fault::ALL {
            let webhook = FaultyWebhook::start(&namespace, fault).await?;
            configuration.set_webhook(webhook.client_config()).await?;
            let waited = admitted(&namespace, &web, &webhook).await.with_context(|| format!("{fault:?}"))?;
            println!("{fault:?}: admitted after {waited:.1?}");
            ensure!(waited < limit, "{fault:?}: admitted only after {waited:?}");
            if fault == Fault::Untrusted {
                namespace.create(web.deployment()).await?;
            }
        }
        configuration.set_webhook(configuration.installed()).await?;
        injected(&namespace, &web).await.context("no injection after the webhook answers again")?;
        ensure!(
            sidecar(&namespace.deployment("web").await?).is_none(),
            "a stored Deployment was injected without an edit"
        );
        namespace.annotate("web", &[("evenkeel.dev/max-requests", Some("200"))]).await?;
        ensure!(sidecar(&namespace.deployment("web").await?).is_some(), "the next edit injected no sidecar");
        Ok(())
    })
    .await
}

/// Waits until the workload would be injected.
async fn injected(namespace: &TestNamespace, web: &Web) -> anyhow::Result<()> {
    let started = Instant::now();
    while sidecar(&namespace.dry_run(&trial(web)).await?).is_none() {
        ensure!(started.elapsed() < NOTICED_WITHIN, "not injected after {NOTICED_WITHIN:?}");
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Checks that the workload is admitted unchanged when the faulty webhook is called. Returns how long that takes.
async fn admitted(namespace: &TestNamespace, web: &Web, webhook: &FaultyWebhook) -> anyhow::Result<Duration> {
    let (trial, started) = (trial(web), Instant::now());
    loop {
        let sent = Instant::now();
        let deployment = namespace.dry_run(&trial).await?;
        let waited = sent.elapsed();
        if webhook.was_called() {
            ensure!(sidecar(&deployment).is_none(), "injected although the webhook gave no usable answer");
            ensure!(deployment.metadata.annotations == trial.metadata.annotations, "admitted, and changed");
            return Ok(waited);
        }
        let to = webhook.client_config().url.as_deref().unwrap_or_default();
        ensure!(
            started.elapsed() < NOTICED_WITHIN,
            "the API server did not connect to this machine at {to} within {NOTICED_WITHIN:?}"
        );
        sleep(Duration::from_millis(100)).await;
    }
}

/// Returns the workload under another name.
fn trial(web: &Web) -> Deployment {
    let mut deployment = web.deployment().clone();
    deployment.metadata.name = Some("trial".to_owned());
    deployment
}
