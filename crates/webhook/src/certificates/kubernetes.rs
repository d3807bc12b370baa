//! The trust store of a cluster: a Secret, and the `caBundle` of a webhook configuration.

use futures_util::{Stream, StreamExt};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use serde_json::{Value, json};
use tracing::warn;

use super::{AuthorityData, StoreOutcome, Stored, TrustStore};

/// Whose the `caBundle` is: no other manager, and no chart, ever writes it.
const FIELD_MANAGER: &str = "evenkeel-webhook";
const CERTIFICATES: &str = "ca.crt";
const KEYS: &str = "ca.key";
const CONFLICT: u16 = 409;

/// The objects in the cluster that are ours to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The namespace of Secret and Service.
    pub namespace: String,
    /// The Service by which the API server calls.
    pub service: String,
    /// The Secret that holds the authorities.
    pub secret: String,
    /// The `MutatingWebhookConfiguration`.
    pub configuration: String,
}

impl Names {
    /// The name that an API server expects in the certificate.
    pub fn server_name(&self) -> String {
        format!("{}.{}.svc", self.service, self.namespace)
    }
}

/// Reads and writes the two objects. It needs `get` and `patch` on the Secret; `get`, `list`, `watch` and `patch` on
/// the configuration; nothing else.
#[derive(Clone)]
pub struct KubernetesStore {
    names: Names,
    secrets: Api<Secret>,
    configurations: Api<MutatingWebhookConfiguration>,
}

/// What the API server would not do, and to which object.
#[derive(Debug, thiserror::Error)]
pub enum KubernetesError {
    /// The Secret cannot be read.
    #[error("cannot read Secret {0}: {1}")]
    ReadSecret(String, #[source] Box<kube::Error>),
    /// The Secret cannot be written.
    #[error("cannot write Secret {0}: {1}")]
    WriteSecret(String, #[source] Box<kube::Error>),
    /// The configuration cannot be read.
    #[error("cannot read MutatingWebhookConfiguration {0}: {1}")]
    ReadConfiguration(String, #[source] Box<kube::Error>),
    /// The configuration cannot be written.
    #[error("cannot write MutatingWebhookConfiguration {0}: {1}")]
    WriteConfiguration(String, #[source] Box<kube::Error>),
    /// The configuration holds nothing that a `caBundle` could be given to.
    #[error("MutatingWebhookConfiguration {0} has no webhooks: expected those of the chart")]
    NoWebhooks(String),
}

impl KubernetesStore {
    /// The objects with these names.
    pub fn new(client: Client, names: Names) -> Self {
        Self { secrets: Api::namespaced(client.clone(), &names.namespace), configurations: Api::all(client), names }
    }

    /// Says whenever somebody has touched the configuration, so that a `caBundle` that was dropped is back at once.
    pub fn touches(&self) -> impl Stream<Item = ()> + Send + use<> {
        watcher::watch_object(self.configurations.clone(), &self.names.configuration).default_backoff().filter_map(
            |event| async {
                event.map(|_| ()).map_err(|error| warn!(%error, "the webhook configuration is not being watched")).ok()
            },
        )
    }

    /// The names of the webhooks in the configuration, each with its `caBundle`.
    async fn webhooks(&self) -> Result<Vec<(String, Option<ByteString>)>, KubernetesError> {
        let name = &self.names.configuration;
        let configuration = self.configurations.get(name).await;
        let configuration =
            configuration.map_err(|error| KubernetesError::ReadConfiguration(name.clone(), Box::new(error)))?;
        let webhooks = configuration.webhooks.unwrap_or_default().into_iter();
        let webhooks: Vec<_> = webhooks.map(|webhook| (webhook.name, webhook.client_config.ca_bundle)).collect();
        if webhooks.is_empty() { Err(KubernetesError::NoWebhooks(name.clone())) } else { Ok(webhooks) }
    }

    fn secret_path(&self) -> String {
        format!("{}/{}", self.names.namespace, self.names.secret)
    }
}

impl TrustStore for KubernetesStore {
    type Error = KubernetesError;

    async fn read(&self) -> Result<Stored, KubernetesError> {
        let secret = self.secrets.get(&self.names.secret).await;
        let secret = secret.map_err(|error| KubernetesError::ReadSecret(self.secret_path(), Box::new(error)))?;
        let mut data = secret.data.unwrap_or_default();
        // What is no text is damaged, and as good as empty.
        let mut text = |key| data.remove(key).and_then(|ByteString(bytes)| String::from_utf8(bytes).ok());
        let data = text(CERTIFICATES)
            .zip(text(KEYS))
            .map(|(certificates_pem, keys_pem)| AuthorityData { certificates_pem, keys_pem });
        let version = secret.metadata.resource_version.unwrap_or_default();
        Ok(Stored { data, version, identity: secret.metadata.uid.unwrap_or_default() })
    }

    async fn write(&self, data: &AuthorityData, version: &str) -> Result<StoreOutcome, KubernetesError> {
        // A merge patch leaves labels and foreign keys alone; the resourceVersion in it makes it a compare-and-swap.
        let patch = json!({
            "metadata": { "resourceVersion": version },
            "data": {
                CERTIFICATES: ByteString(data.certificates_pem.clone().into_bytes()),
                KEYS: ByteString(data.keys_pem.clone().into_bytes()),
            },
        });
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        match self.secrets.patch(&self.names.secret, &params, &Patch::Merge(patch)).await {
            Ok(_) => Ok(StoreOutcome::Written),
            Err(kube::Error::Api(status)) if status.code == CONFLICT => Ok(StoreOutcome::Conflict),
            Err(error) => Err(KubernetesError::WriteSecret(self.secret_path(), Box::new(error))),
        }
    }

    async fn trusts(&self, bundle_pem: &str) -> Result<bool, KubernetesError> {
        let is_it = |bundle: &Option<ByteString>| bundle.as_ref().is_some_and(|bytes| bytes.0 == bundle_pem.as_bytes());
        Ok(self.webhooks().await?.iter().all(|(_, bundle)| is_it(bundle)))
    }

    async fn publish(&self, bundle_pem: &str) -> Result<(), KubernetesError> {
        let name = &self.names.configuration;
        let bundle = ByteString(bundle_pem.as_bytes().to_vec());
        let entry = |name: &str| json!({ "name": name, "clientConfig": { "caBundle": bundle } });
        // Only webhooks that are there: an entry of our own making would be half a webhook.
        let webhooks: Vec<Value> = self.webhooks().await?.iter().map(|(name, _)| entry(name)).collect();
        let patch = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": { "name": name },
            "webhooks": webhooks,
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let applied = self.configurations.patch(name, &params, &Patch::Apply(patch)).await;
        applied.map(|_| ()).map_err(|error| KubernetesError::WriteConfiguration(name.clone(), Box::new(error)))
    }
}
