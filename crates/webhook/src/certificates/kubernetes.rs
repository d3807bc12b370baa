//! The trust store of a cluster: a Secret, and the `caBundle` of a webhook configuration.

use futures_util::{Stream, StreamExt};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use relisting::relisting;
use serde_json::{Value, json};
use tracing::{info, warn};

use super::{AuthorityData, StoreOutcome, Stored, TrustStore};

/// The manager of `caBundle` in server-side apply. The chart does not set the field.
const FIELD_MANAGER: &str = "evenkeel-webhook";
const CERTIFICATES: &str = "ca.crt";
const KEYS: &str = "ca.key";
const CONFLICT: u16 = 409;
const NOT_FOUND: u16 = 404;

/// The names of the objects in the cluster that the webhook manages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The namespace of Secret and Service.
    pub namespace: String,
    /// The Service that API servers call.
    pub service: String,
    /// The Secret that holds the authorities.
    pub secret: String,
    /// The `MutatingWebhookConfiguration`.
    pub configuration: String,
}

impl Names {
    /// Returns the name that API servers expect in the certificate.
    pub fn server_name(&self) -> String {
        format!("{}.{}.svc", self.service, self.namespace)
    }
}

/// The trust store in Secret and webhook configuration. It needs `get`, `patch` and `create` on the Secret; `get`,
/// `list`, `watch` and `patch` on the configuration.
#[derive(Clone)]
pub struct KubernetesStore {
    names: Names,
    secrets: Api<Secret>,
    configurations: Api<MutatingWebhookConfiguration>,
}

/// A request that failed, and the object that it was about.
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
    /// The configuration has no webhook that could have a `caBundle`.
    #[error("MutatingWebhookConfiguration {0} has no webhooks: expected those of the chart")]
    NoWebhooks(String),
}

impl KubernetesStore {
    /// Returns the store in the objects with these names.
    pub fn new(client: Client, names: Names) -> Self {
        Self { secrets: Api::namespaced(client.clone(), &names.namespace), configurations: Api::all(client), names }
    }

    /// Yields whenever the configuration has changed, so that a `caBundle` that was removed is restored at once.
    pub fn changes(&self) -> impl Stream<Item = ()> + Send + use<> {
        let (configurations, name) = (self.configurations.clone(), self.names.configuration.clone());
        let events = relisting(move || watcher::watch_object(configurations.clone(), &name));
        events.default_backoff().filter_map(|event| async {
            event.map(|_| ()).map_err(|error| warn!(%error, "cannot watch the webhook configuration")).ok()
        })
    }

    /// Returns the names of the webhooks in the configuration, each with its `caBundle`.
    async fn webhooks(&self) -> Result<Vec<(String, Option<ByteString>)>, KubernetesError> {
        let name = &self.names.configuration;
        let configuration = self.configurations.get(name).await;
        let configuration =
            configuration.map_err(|error| KubernetesError::ReadConfiguration(name.clone(), Box::new(error)))?;
        let webhooks = configuration.webhooks.unwrap_or_default().into_iter();
        let webhooks: Vec<_> = webhooks.map(|webhook| (webhook.name, webhook.client_config.ca_bundle)).collect();
        if webhooks.is_empty() { Err(KubernetesError::NoWebhooks(name.clone())) } else { Ok(webhooks) }
    }

    /// Creates an empty Secret if it was deleted. It uses server-side apply, because RBAC can restrict `create` to one
    /// name only there, and because replicas that apply at once do not overwrite each other.
    async fn create_secret(&self) -> Result<Secret, kube::Error> {
        let name = &self.names.secret;
        let empty = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "Opaque"});
        let created = self.secrets.patch(name, &PatchParams::apply(FIELD_MANAGER), &Patch::Apply(empty)).await?;
        info!(secret = self.secret_path(), "created the Secret, which did not exist");
        Ok(created)
    }

    fn secret_path(&self) -> String {
        format!("{}/{}", self.names.namespace, self.names.secret)
    }
}

impl TrustStore for KubernetesStore {
    type Error = KubernetesError;

    async fn read(&self) -> Result<Stored, KubernetesError> {
        let (secret, was_there) = match self.secrets.get(&self.names.secret).await {
            Err(kube::Error::Api(status)) if status.code == NOT_FOUND => (self.create_secret().await, false),
            read => (read, true),
        };
        let secret = secret.map_err(|error| KubernetesError::ReadSecret(self.secret_path(), Box::new(error)))?;
        let mut data = secret.data.unwrap_or_default();
        // Data that is not text is damaged and counts as empty.
        let mut text = |key| data.remove(key).and_then(|ByteString(bytes)| String::from_utf8(bytes).ok());
        let data = text(CERTIFICATES)
            .zip(text(KEYS))
            .map(|(certificates_pem, keys_pem)| AuthorityData { certificates_pem, keys_pem });
        let version = secret.metadata.resource_version.unwrap_or_default();
        let identity = secret.metadata.uid.filter(|_| was_there).unwrap_or_default();
        Ok(Stored { data, version, identity })
    }

    async fn write(&self, data: &AuthorityData, version: &str) -> Result<StoreOutcome, KubernetesError> {
        // A merge patch keeps labels and other keys; the resourceVersion in it makes it a compare-and-swap.
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
        // Only existing webhooks are patched: a new entry would lack all other fields.
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use axum::http::{Method, Request, Response};
    use kube::client::Body;
    use tower::service_fn;

    use super::*;

    #[tokio::test]
    async fn a_deleted_secret_is_created_again() {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let cluster = service_fn(move |request: Request<Body>| {
            seen.lock().unwrap().push((request.method().clone(), request.uri().to_string()));
            let (status, body) = match *request.method() {
                Method::PATCH => (200, json!({"metadata": {"name": "ca", "uid": "u", "resourceVersion": "7"}})),
                _ => (404, json!({"kind": "Status", "apiVersion": "v1", "code": 404, "reason": "NotFound"})),
            };
            let body = Body::from(body.to_string().into_bytes());
            async move { Ok::<_, Infallible>(Response::builder().status(status).body(body).unwrap()) }
        });
        let [namespace, service, secret, configuration] = ["ns", "s", "ca", "c"].map(str::to_owned);
        let names = Names { namespace, service, secret, configuration };
        let stored = KubernetesStore::new(Client::new(cluster, "ns"), names).read().await.unwrap();
        assert_eq!((stored.data, &*stored.version, &*stored.identity), (None, "7", ""));
        let path = "/api/v1/namespaces/ns/secrets/ca";
        let apply = format!("{path}?&fieldManager=evenkeel-webhook");
        assert_eq!(*asked.lock().unwrap(), [(Method::GET, path.to_owned()), (Method::PATCH, apply)]);
    }
}
