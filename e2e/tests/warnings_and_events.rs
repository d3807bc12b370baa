//! Promise: for a workload that has the annotation and does not get the proxy, or whose connections bypass it, kubectl
//! prints a warning, and there is an Event. Other workloads get neither.

use anyhow::ensure;
use e2e::{Web, in_labelled_namespace, in_namespace, sidecar};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::Resource as _;

const ANNOTATION: (&str, &str) = ("evenkeel.dev/max-requests", "100");

#[tokio::test]
async fn workloads_without_their_proxy_get_warnings_and_events() -> anyhow::Result<()> {
    in_namespace("warnings-and-events", |namespace| async move {
        let web = || Web::sample().map(|web| web.replicas(0));
        let asking = web()?.annotation(ANNOTATION.0, ANNOTATION.1);
        let switched_off = asking.clone().annotation("evenkeel.dev/inject", "disabled");
        let skipped = asking.clone().host_network();
        let invalid = asking.clone().annotation("evenkeel.dev/jitter", "x");
        for (name, web, injected, expected) in [
            ("plain", &web()?, false, &[][..]),
            ("injected", &asking, true, &[]),
            ("switched-off", &switched_off, false, &[]),
            ("skipped", &skipped, false, &["the node's network", "If a warning before this"]),
            ("invalid", &invalid, false, &["jitter", "If a warning before this"]),
        ] {
            let (admitted, warnings) = namespace.create(&named(web.deployment(), name)).await?;
            ensure!(sidecar(&admitted).is_some() == injected, "{name}: {admitted:?}");
            let as_expected = warnings.len() == expected.len()
                && warnings.iter().zip(expected).all(|(warning, words)| warning.contains(words));
            ensure!(as_expected, "{name}: {warnings:?}");
        }
        for (name, reason) in
            [("injected", "ProxyInjected"), ("skipped", "InjectionSkipped"), ("invalid", "InvalidSettings")]
        {
            let reasons = namespace.wait_for_event(name, reason).await?;
            ensure!(reasons == [reason], "expected one Event for all replicas of the webhook: {reasons:?}");
        }
        for name in ["plain", "switched-off"] {
            let reasons = namespace.reasons(name).await?;
            ensure!(reasons.is_empty(), "{name}: {reasons:?}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn removals_and_services_that_bypass_the_proxy_get_events() -> anyhow::Result<()> {
    const ELSEWHERE: i32 = 9999;
    in_namespace("told-later", |namespace| async move {
        let asking = Web::sample()?.replicas(0).annotation(ANNOTATION.0, ANNOTATION.1);
        namespace.apply(asking.deployment()).await?;
        namespace.wait_for_event("web", "ProxyInjected").await?;
        // The Service is created after the Deployment, as in many manifests.
        let mut elsewhere = asking.service().clone();
        let ports = elsewhere.spec.iter_mut().filter_map(|spec| spec.ports.as_mut()).flatten();
        ports.for_each(|port| port.target_port = Some(IntOrString::Int(ELSEWHERE)));
        namespace.apply(&elsewhere).await?;
        namespace.wait_for_event("web", "ServiceBypassesProxy").await?;
        let notes = namespace.notes("web", "ServiceBypassesProxy").await?;
        ensure!(notes.iter().all(|note| note.contains("targets 9999")), "{notes:?}");
        // The Service exists when another Deployment is created.
        let (_, warnings) = namespace.create(&named(asking.deployment(), "second")).await?;
        let expected = "service/web: port 9999 is not intercepted";
        ensure!(warnings.iter().any(|warning| warning.contains(expected)), "{warnings:?}");
        namespace.annotate("web", &[(ANNOTATION.0, None)]).await?;
        namespace.wait_for_event("web", "ProxyRemoved").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn workloads_of_an_opted_out_namespace_get_warnings_and_events() -> anyhow::Result<()> {
    in_labelled_namespace("told-out", &[("evenkeel.dev/inject", "disabled")], |namespace| async move {
        let asking = Web::sample()?.replicas(0).annotation(ANNOTATION.0, ANNOTATION.1);
        let (_, warnings) = namespace.create(asking.deployment()).await?;
        ensure!(warnings.iter().any(|warning| warning.contains("the namespace has opted out")), "{warnings:?}");
        let reasons = namespace.wait_for_event("web", "NamespaceOptedOut").await?;
        ensure!(reasons == ["NamespaceOptedOut"], "{reasons:?}");
        Ok(())
    })
    .await
}

fn named(deployment: &Deployment, name: &str) -> Deployment {
    let mut deployment = deployment.clone();
    deployment.meta_mut().name = Some(name.to_owned());
    deployment
}
