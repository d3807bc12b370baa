//! Reads an installation, and sends the API server a Deployment as a dry run, which its webhook reviews.

use std::collections::BTreeMap;

use daemon::Clock;
use inject::{Installation, Outcome, PROXY_CONTAINER, WorkloadKind};
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingAdmissionPolicy};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, ListParams, PostParams, ResourceExt};
use serde_json::{Value, json};

use super::super::installation::{InstallationFacts, Probe, Release, Reports};
use super::super::objects::Objects;
use super::super::scope::Scope;
use super::{Reader, replicas};
use crate::pod_metrics;
use crate::status::balancer::{self, Balancer, Known};

/// The labels that the chart gives its objects.
const OURS: &str = "app.kubernetes.io/name=evenkeel";
const COMPONENT: &str = "app.kubernetes.io/component";
/// Where webhook and balancer serve their metrics.
const METRICS_PORT: u16 = 8081;
const CERTIFICATE: &str = "evenkeel_webhook_certificate_expiry_timestamp_seconds";

/// The label that the chart gives its objects for its release.
const RELEASE: &str = "app.kubernetes.io/instance";

/// Reads what is installed: as much of it as workloads depend on. Of several releases each, or the one of the chosen namespace; never
/// nothing, so that one that is missing can be said to be.
///
/// # Errors
/// The cluster cannot be reached.
pub(crate) async fn installations(reader: &mut Reader, chosen: Option<&str>) -> anyhow::Result<Vec<InstallationFacts>> {
    let ours = ListParams::default().labels(OURS);
    let client = reader.client.clone();
    let version = client.apiserver_version().await;
    let kubernetes = reader.noted(version, "the version of the API server")?;
    let configurations = Api::<MutatingWebhookConfiguration>::all(client.clone()).list(&ours).await;
    let configurations = reader.noted(configurations, "mutatingwebhookconfigurations")?;
    let deployments = Api::<Deployment>::all(client.clone()).list(&ours).await;
    let deployments = reader.noted(deployments, "Deployments of the installation")?;
    let nothing = InstallationFacts {
        now: Clock::system().since_epoch().as_secs_f64(),
        kubernetes: kubernetes.and_then(|info| Some((number(&info.major)?, number(&info.minor)?))),
        is_unknown: configurations.is_none() || deployments.is_none(),
        ..InstallationFacts::default()
    };
    let items = (configurations.map(|list| list.items), deployments.map(|list| list.items));
    let releases = releases(items.0.unwrap_or_default(), items.1.unwrap_or_default(), &nothing);
    Ok(chosen_of(releases, chosen, nothing))
}

/// Returns each release with what is its own, in the order of their namespaces.
fn releases(
    configurations: Vec<MutatingWebhookConfiguration>,
    deployments: Vec<Deployment>,
    nothing: &InstallationFacts,
) -> Vec<InstallationFacts> {
    let mut releases: BTreeMap<Release, InstallationFacts> = BTreeMap::new();
    let new = |release: &Release| InstallationFacts { release: release.clone(), ..nothing.clone() };
    for deployment in deployments {
        let namespace = deployment.namespace().unwrap_or_default();
        let release = Release { namespace, name: label(&deployment, RELEASE) };
        let facts = releases.entry(release).or_insert_with_key(new);
        match label(&deployment, COMPONENT).as_str() {
            "webhook" => facts.webhook = Some(deployment),
            "balancer" => facts.balancer = Some(deployment),
            _ => {}
        }
    }
    for configuration in configurations {
        // It is in no namespace, and leads to a Service that is.
        let service = configuration.webhooks.iter().flatten().next().and_then(|it| it.client_config.service.as_ref());
        let namespace = service.map(|service| service.namespace.clone()).unwrap_or_default();
        let release = Release { namespace, name: label(&configuration, RELEASE) };
        releases.entry(release).or_insert_with_key(new).configuration = Some(configuration);
    }
    releases.into_values().collect()
}

fn label(object: &impl ResourceExt, key: &str) -> String {
    object.labels().get(key).cloned().unwrap_or_default()
}

/// Returns those of a namespace, if one is chosen.
fn chosen_of(
    releases: Vec<InstallationFacts>,
    chosen: Option<&str>,
    nothing: InstallationFacts,
) -> Vec<InstallationFacts> {
    let is_chosen = |facts: &InstallationFacts| chosen.is_none_or(|namespace| facts.release.namespace == namespace);
    let (chosen_ones, others): (Vec<_>, Vec<_>) = releases.into_iter().partition(is_chosen);
    if !chosen_ones.is_empty() {
        return chosen_ones;
    }
    let elsewhere = others.into_iter().map(|facts| facts.release).collect();
    let release = Release { namespace: chosen.unwrap_or_default().to_owned(), name: String::new() };
    vec![InstallationFacts { release, elsewhere, ..nothing }]
}

/// Reads what only a check of the installation itself needs.
///
/// # Errors
/// The cluster cannot be reached.
pub(crate) async fn running(reader: &mut Reader, facts: &mut InstallationFacts) -> anyhow::Result<()> {
    let client = reader.client.clone();
    let of_release = format!("{OURS},{RELEASE}={}", facts.release.name);
    let of_release = ListParams::default().labels(&of_release);
    let policies = Api::<ValidatingAdmissionPolicy>::all(client.clone()).list(&of_release).await;
    facts.policy = reader.noted(policies, "validatingadmissionpolicies")?.map(|list| !list.items.is_empty());
    let nodes = Api::<Node>::all(client.clone()).list_metadata(&ListParams::default()).await;
    facts.nodes = reader.noted(nodes, "nodes")?.map(|list| list.items.len());
    if let Some(webhook) = &facts.webhook {
        let namespace = webhook.namespace().unwrap_or_default();
        let labels = format!("{OURS},{RELEASE}={},{COMPONENT}=webhook", facts.release.name);
        let mut pods = reader.of_namespace::<Pod>(&namespace, &labels, "pods of the webhook").await?;
        // Replicas that a rollout is terminating need not answer.
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        facts.webhook_pods = pods;
        facts.served_until = served_until(reader, &namespace, &facts.webhook_pods).await;
        if let Some(configuration) = &facts.configuration {
            facts.trusted = replicas::trusted(reader, configuration, &namespace, &facts.webhook_pods).await;
        }
    }
    if let Some(balancer) = &facts.balancer {
        let namespace = balancer.namespace().unwrap_or_default();
        let read = Api::<Lease>::namespaced(client.clone(), &namespace).get(&balancer.name_any()).await;
        facts.lease = reader.noted(read, "the Lease of the balancer")?;
        match balancer::ask(&client, &namespace).await {
            Balancer::Leads(known) => {
                let of = reader.namespace.as_ref().map(|namespace| format!("{namespace}/"));
                let is_asked_for = |known: &&Known| of.as_ref().is_none_or(|of| known.workload.starts_with(of));
                facts.balanced = known.values().filter(is_asked_for).map(reports).collect();
            }
            Balancer::Silent(why) => reader.not_checked.push(format!("reports to the balancer: {why}")),
        }
    }
    Ok(())
}

fn reports(known: &Known) -> Reports {
    Reports {
        workload: known.workload.clone(),
        settled: known.settled_pods,
        reporting: known.reporting_pods,
        is_withheld: known.state == "reports_missing",
    }
}

/// Each replica has a certificate of its own; the first that expires is what counts.
async fn served_until(reader: &mut Reader, namespace: &str, pods: &[Pod]) -> Option<f64> {
    let mut first: Option<f64> = None;
    for pod in pods {
        match pod_metrics::read_port(&reader.client, namespace, &pod.name_any(), METRICS_PORT).await {
            Ok(metrics) => {
                let until = metrics.sum(CERTIFICATE, &[]);
                first = Some(first.map_or(until, |first| first.min(until)));
            }
            Err(error) => {
                reader.not_checked.push(format!("the certificate that {} serves: {error}", pod.name_any()));
                return None;
            }
        }
    }
    first
}

/// Creates a Deployment as a dry run, in a namespace whose workloads are injected.
///
/// # Errors
/// The cluster cannot be reached.
pub(crate) async fn probe(reader: &mut Reader, objects: &Objects, scope: &Scope) -> anyhow::Result<Option<Probe>> {
    let probe = probe_deployment();
    let candidates = objects.namespaces.iter().filter(|(name, namespace)| {
        let facts = namespace.facts();
        let outcome = inject::inject(&probe, WorkloadKind::Deployment, Some(&facts), &Installation::default());
        scope.opted_out(name, Some(namespace)).is_none() && matches!(outcome, Outcome::Inject { .. })
    });
    let Some((namespace, _)) = candidates.into_iter().next() else {
        reader
            .not_checked
            .push("whether the API server reaches the webhook: no namespace here is in its scope".to_owned());
        return Ok(None);
    };
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let deployments = Api::<Deployment>::namespaced(reader.client.clone(), namespace);
    let created = deployments.create(&dry_run, &serde_json::from_value(probe)?).await;
    let what = "whether the API server reaches the webhook (a dry run)";
    let Some(created) = reader.noted(created, what)? else { return Ok(None) };
    let pod = created.spec.and_then(|spec| spec.template.spec);
    let mut containers = pod.iter().flat_map(|pod| pod.init_containers.iter().flatten());
    let injected = containers.any(|container| container.name == PROXY_CONTAINER);
    Ok(Some(Probe { namespace: namespace.clone(), injected }))
}

/// Returns a Deployment that asks for the proxy and nothing else.
fn probe_deployment() -> Value {
    let labels = json!({"app": "evenkeel-check"});
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "evenkeel-check", "annotations": {"evenkeel.dev/max-requests": "1000"}},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{
                    "name": "app",
                    "image": "evenkeel-check:never-pulled",
                    "ports": [{"name": "http", "containerPort": 8080}],
                }]},
            },
        },
    })
}

/// Some providers write `33+`.
fn number(text: &str) -> Option<u32> {
    text.trim_end_matches('+').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workload_of_the_dry_run_would_be_injected() {
        let outcome = inject::inject(&probe_deployment(), WorkloadKind::Deployment, None, &Installation::default());
        assert!(matches!(outcome, Outcome::Inject { .. }), "{outcome:?}");
        serde_json::from_value::<Deployment>(probe_deployment()).unwrap();
    }

    #[test]
    fn kubernetes_versions_of_cloud_providers_are_read() {
        assert_eq!((number("33+"), number("36"), number("x")), (Some(33), Some(36), None));
    }
}
