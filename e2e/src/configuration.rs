//! A webhook configuration of a test's own, to be misled without anybody else noticing.

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

/// The installed webhook configuration again, for the workloads of one namespace.
pub struct Configuration {
    api: Api<MutatingWebhookConfiguration>,
    name: String,
    installed: WebhookClientConfig,
    patience: Duration,
}

impl Configuration {
    /// Copies the installed one for a namespace, which must have opted out of that. It ends with the namespace.
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
        let (patience, installed) = (Duration::from_secs(seconds.try_into()?), webhook.client_config.clone());

        let owner = Api::<Namespace>::all(namespace.client()).get(namespace.name()).await?.owner_ref(&());
        let name = namespace.name().to_owned();
        let metadata = ObjectMeta {
            name: Some(name.clone()),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        };
        api.create(&PostParams::default(), &MutatingWebhookConfiguration { metadata, webhooks: Some(webhooks) })
            .await?;
        Ok(Self { api, name, installed, patience })
    }

    /// For how long an API server waits for an answer.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Returns where the installed webhook is asked.
    pub fn installed(&self) -> &WebhookClientConfig {
        &self.installed
    }

    /// Has the API server ask somebody else; it takes a moment until it does.
    pub async fn ask(&self, whom: &WebhookClientConfig) -> anyhow::Result<()> {
        let replace = json!([{ "op": "replace", "path": "/webhooks/0/clientConfig", "value": whom }]);
        let patch = Patch::Json::<()>(serde_json::from_value(replace)?);
        self.api.patch(&self.name, &PatchParams::default(), &patch).await?;
        Ok(())
    }
}
