//! Promise: whoever asks for the proxy and does not get it is told, by kubectl at once and by an Event; nobody else is.

use anyhow::ensure;
use e2e::{Web, in_namespace, sidecar};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Resource as _;

const ASKS: (&str, &str) = ("evenkeel.dev/max-requests", "100");

#[tokio::test]
async fn warnings_and_events_for_those_whom_they_concern() -> anyhow::Result<()> {
    in_namespace("told", |namespace| async move {
        let web = || Web::sample().map(|web| web.replicas(0));
        let asking = web()?.annotation(ASKS.0, ASKS.1);
        let switched_off = asking.clone().annotation("evenkeel.dev/inject", "disabled");
        let skipped = asking.clone().host_network();
        let invalid = asking.clone().annotation("evenkeel.dev/jitter", "x");
        for (name, web, injected, told) in [
            ("plain", &web()?, false, &[][..]),
            ("injected", &asking, true, &[]),
            ("switched-off", &switched_off, false, &[]),
            ("skipped", &skipped, false, &["the node's network", "If a warning before this"]),
            ("invalid", &invalid, false, &["jitter", "If a warning before this"]),
        ] {
            let (admitted, warnings) = namespace.create(&named(web.deployment(), name)).await?;
            ensure!(sidecar(&admitted).is_some() == injected, "{name}: {admitted:?}");
            let as_told = warnings.len() == told.len()
                && warnings.iter().zip(told).all(|(warning, words)| warning.contains(words));
            ensure!(as_told, "{name}: {warnings:?}");
        }
        for (name, reason) in
            [("injected", "ProxyInjected"), ("skipped", "InjectionSkipped"), ("invalid", "InvalidSettings")]
        {
            let reasons = namespace.told(name, reason).await?;
            ensure!(reasons == [reason], "every replica tells, and one Event is there: {reasons:?}");
        }
        for name in ["plain", "switched-off"] {
            let reasons = namespace.reasons(name).await?;
            ensure!(reasons.is_empty(), "{name}: {reasons:?}");
        }
        Ok(())
    })
    .await
}

fn named(deployment: &Deployment, name: &str) -> Deployment {
    let mut deployment = deployment.clone();
    deployment.meta_mut().name = Some(name.to_owned());
    deployment
}
