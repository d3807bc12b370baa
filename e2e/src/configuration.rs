//! A webhook configuration for one namespace, which a test can change without affecting others.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, WebhookClientConfig};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::Api;
use kube::api::{ListParams, ObjectMeta, Patch, PatchParams, PostParams, Resource as _};
use serde_json::json;

use crate::namespace::TestNamespace;

/// A copy of the installed webhook configuration, for the workloads of one namespace.
pub struct Configuration {
    api: Api<MutatingWebhookConfiguration>,
    name: String,
    installed: WebhookClientConfig,
    review_timeout: Duration,
}

impl Configuration {
    /// Copies the installed configuration for a namespace that has opted out of it. The copy is deleted with the
    /// namespace.
    pub async fn for_namespace(namespace: &TestNamespace) -> anyhow::Result<Self> {
        let api = Api::<MutatingWebhookConfiguration>::all(namespace.client());
        let ours = ListParams::default().labels("app.kubernetes.io/name=evenkeel");
        let installed = api.list(&ours).await?.items.into_iter().next();
        let mut webhooks = installed.and_then(|installed| installed.webhooks).unwrap_or_default();
        let webhook = webhooks.first_mut().context("no webhook of evenkeel's is configured")?;
        let this_one = ("kubernetes.io/metadata.name".to_owned(), namespace.name().to_owned());
        let selector = LabelSelector { match_labels: Some(BTreeMap::from([this_one])), ..LabelSelector::default() };
        webhook.namespace_selector = Some(selector);
        let seconds = webhook.timeout_seconds.context("an API server fills in timeoutSeconds")?;
        let (review_timeout, installed) = (Duration::from_secs(seconds.try_into()?), webhook.client_config.clone());

        let owner = Api::<Namespace>::all(namespace.client()).get(namespace.name()).await?.owner_ref(&());
        let name = namespace.name().to_owned();
        let metadata = ObjectMeta {
            name: Some(name.clone()),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        };
        api.create(&PostParams::default(), &MutatingWebhookConfiguration { metadata, webhooks: Some(webhooks) })
            .await?;
        Ok(Self { api, name, installed, review_timeout })
    }

    /// Returns the time for which an API server waits for an answer.
    pub fn review_timeout(&self) -> Duration {
        self.review_timeout
    }

    /// Returns how API servers reach the installed webhook.
    pub fn installed(&self) -> &WebhookClientConfig {
        &self.installed
    }

    /// Replaces the webhook to which API servers send reviews. They notice after a moment.
    pub async fn set_webhook(&self, webhook: &WebhookClientConfig) -> anyhow::Result<()> {
        let replace = json!([{ "op": "replace", "path": "/webhooks/0/clientConfig", "value": webhook }]);
        let patch = Patch::Json::<()>(serde_json::from_value(replace)?);
        self.api.patch(&self.name, &PatchParams::default(), &patch).await?;
        Ok(())
    }
}
