//! Reads which workloads an installation reviews, and its defaults for them.

use std::collections::BTreeMap;

use inject::{Installation, WorkloadKind};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::Api;
use settings::BALANCE_KEYS_FIELD;

use super::super::installation::{InstallationFacts, version};
use super::super::scope::Scope;
use super::Reader;

/// The environment variable or flag with the defaults of an installation.
const DEFAULT: &str = "--default=";
/// The environment variable or flag that names the ConfigMap with the balancer's keys.
const KEYS: &str = "--balance-keys-config-map=";

/// Returns what the installation covers.
///
/// # Errors
/// The cluster cannot be reached.
pub(crate) async fn scope(reader: &mut Reader, facts: &InstallationFacts) -> anyhow::Result<Scope> {
    let Some(configuration) = &facts.configuration else {
        return Ok(Scope { is_live: true, ..Scope::default() });
    };
    let arguments = facts.webhook.as_ref().map(arguments).unwrap_or_default();
    let defaults: BTreeMap<String, String> = arguments
        .iter()
        .filter_map(|argument| argument.strip_prefix(DEFAULT)?.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut installation = Installation { defaults, balance_keys: None };
    // Another version may inject otherwise.
    let mut installation_is_known = version(facts) == Some(env!("CARGO_PKG_VERSION"));
    let of_keys = arguments.iter().find_map(|argument| argument.strip_prefix(KEYS));
    let namespace = facts.webhook.as_ref().and_then(|webhook| webhook.metadata.namespace.as_deref());
    if let (Some(name), Some(namespace)) = (of_keys, namespace) {
        let read = Api::<ConfigMap>::namespaced(reader.client.clone(), namespace).get(name).await;
        match reader.noted(read, "the balancer's public keys")? {
            Some(config_map) => {
                let keys = config_map.data.and_then(|data| data.get(BALANCE_KEYS_FIELD)?.parse().ok());
                installation.balance_keys = keys;
            }
            None => installation_is_known = false,
        }
    }
    Ok(Scope {
        is_live: true,
        release: Some(facts.release.clone()),
        version: version(facts).map(str::to_owned),
        kinds: Some(kinds(configuration)),
        namespaces: configuration.webhooks.iter().flatten().next().and_then(|it| it.namespace_selector.clone()),
        installation,
        installation_is_known,
    })
}

fn kinds(configuration: &MutatingWebhookConfiguration) -> Vec<WorkloadKind> {
    let rules = configuration.webhooks.iter().flatten().flat_map(|webhook| webhook.rules.iter().flatten());
    let resources: Vec<&String> = rules.flat_map(|rule| rule.resources.iter().flatten()).collect();
    let is_there =
        |kind: &&WorkloadKind| resources.iter().any(|one| **one == format!("{}s", kind.name().to_lowercase()));
    WorkloadKind::ALL.iter().filter(is_there).copied().collect()
}

fn arguments(webhook: &Deployment) -> Vec<String> {
    let pod = webhook.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    pod.iter().flat_map(|pod| &pod.containers).flat_map(|container| container.args.iter().flatten()).cloned().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reviewed_kinds_are_those_of_the_webhooks_rules() {
        let rules = json!([{"apiGroups": ["apps"], "resources": ["deployments"]}, {"resources": ["statefulsets"]}]);
        let webhook = json!({"name": "x", "clientConfig": {}, "sideEffects": "None", "admissionReviewVersions": [], "rules": rules});
        let configuration = serde_json::from_value(json!({"metadata": {}, "webhooks": [webhook]})).unwrap();
        assert_eq!(kinds(&configuration), [WorkloadKind::Deployment, WorkloadKind::StatefulSet]);
    }
}
