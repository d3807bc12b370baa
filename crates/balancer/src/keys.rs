//! The key pairs that sign instructions.
//!
//! ```text
//!              rotate                       every pod knows the second
//! key.pem ──────────────▶ key.pem, next.pem ──────────────────────────▶ key.pem (the second)
//!    │                        │      │                                     │
//! ConfigMap: one public key   two public keys                           one public key
//! ```

use std::sync::Arc;
use std::time::Duration;

use balancing::{PublicKey, PublicKeys, SigningKey, SigningKeyError};
use daemon::in_one_sentence;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use ring::rand::SystemRandom;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{info, warn};

const FIELD_MANAGER: &str = "evenkeel-balancer";
/// The entries of the Secret: the key that signs, and during a rotation the next one.
const KEY: &str = "key.pem";
const NEXT: &str = "next.pem";
/// The entry of the ConfigMap: the public keys, separated by commas.
pub const PUBLIC: &str = "keys";
const CONFLICT: u16 = 409;
const NOT_FOUND: u16 = 404;
const INTERVAL: Duration = Duration::from_secs(10);
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The keys of an installation.
#[derive(Debug)]
pub struct Keys {
    signing: SigningKey,
    next: Option<SigningKey>,
}

impl Keys {
    /// Returns keys: the one that signs, and during a rotation the next one.
    pub const fn new(signing: SigningKey, next: Option<SigningKey>) -> Self {
        Self { signing, next }
    }

    /// Returns the key that signs.
    pub const fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// Returns the public key of the next signing key, during a rotation.
    pub fn next(&self) -> Option<PublicKey> {
        self.next.as_ref().map(SigningKey::public)
    }

    /// Returns the public keys for proxies.
    pub fn public(&self) -> Result<PublicKeys, balancing::InvalidKeys> {
        PublicKeys::new(std::iter::once(self.signing.public()).chain(self.next()))
    }
}

/// The Secret and the ConfigMap with the keys.
#[derive(Clone)]
pub struct KeyStore {
    secrets: Api<Secret>,
    config_maps: Api<ConfigMap>,
    secret: String,
    config_map: String,
}

/// Why the keys cannot be read, made or published.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The Secret cannot be read or written.
    #[error("cannot read or write Secret {0}: {1}")]
    Secret(String, #[source] Box<kube::Error>),
    /// The ConfigMap cannot be read or written.
    #[error("cannot read or write ConfigMap {0}: {1}")]
    ConfigMap(String, #[source] Box<kube::Error>),
    /// An entry of the Secret is not a private key.
    #[error("Secret {0} has no usable {1}: {2}")]
    Unusable(String, &'static str, #[source] SigningKeyError),
    /// No key can be made.
    #[error("cannot generate a key: {0}")]
    Making(#[from] SigningKeyError),
    /// There are more keys than proxies accept.
    #[error(transparent)]
    Public(#[from] balancing::InvalidKeys),
}

/// The contents of the Secret.
struct Stored {
    version: String,
    key: Option<String>,
    next: Option<String>,
}

impl KeyStore {
    /// Returns the store in these two objects. The account needs `get`, `patch` and `create` on both.
    pub fn new(client: Client, namespace: &str, secret: String, config_map: String) -> Self {
        let secrets = Api::namespaced(client.clone(), namespace);
        Self { secrets, config_maps: Api::namespaced(client, namespace), secret, config_map }
    }

    /// Reads the keys every 10 s, generates the first, publishes the public keys, and completes a rotation once
    /// `next_is_known` is true: every pod has the second key.
    pub async fn run(self, keys: watch::Sender<Option<Arc<Keys>>>, next_is_known: watch::Receiver<bool>) {
        let mut is_told = false;
        loop {
            let is_known = *next_is_known.borrow();
            let pause = match self.round(&keys, is_known).await {
                Ok(()) => {
                    is_told = false;
                    INTERVAL
                }
                Err(error) => {
                    if !std::mem::replace(&mut is_told, true) {
                        warn!(error = in_one_sentence(&error), "cannot read or write the keys");
                    }
                    RETRY_AFTER
                }
            };
            sleep(pause).await;
        }
    }

    /// Begins a rotation: makes a second key pair, unless there is one. Returns its public key.
    ///
    /// # Errors
    /// A Secret that cannot be read or written, or holds no usable key.
    pub async fn rotate(&self) -> Result<PublicKey, KeyError> {
        loop {
            let stored = self.read().await?;
            if let Some(next) = self.parse(NEXT, stored.next.as_deref())? {
                return Ok(next.public());
            }
            let made = SigningKey::generate(&SystemRandom::new())?;
            if self.write(&stored.version, json!({ NEXT: bytes(&made) })).await? {
                return Ok(SigningKey::from_pem(&made)?.public());
            }
        }
    }

    async fn round(&self, keys: &watch::Sender<Option<Arc<Keys>>>, next_is_known: bool) -> Result<(), KeyError> {
        let mut stored = self.read().await?;
        if stored.key.is_none() {
            let made = SigningKey::generate(&SystemRandom::new())?;
            // If another replica was first, the next round reads its key.
            if self.write(&stored.version, json!({ KEY: bytes(&made) })).await? {
                info!(secret = self.secret, "created the first key");
            }
            stored = self.read().await?;
        }
        if let (Some(next), true) = (&stored.next, next_is_known) {
            if self.write(&stored.version, json!({ KEY: bytes(next), NEXT: null_value() })).await? {
                info!(secret = self.secret, "every pod has the second key; it signs from now on");
            }
            stored = self.read().await?;
        }
        let Some(signing) = self.parse(KEY, stored.key.as_deref())? else { return Ok(()) };
        let found = Keys::new(signing, self.parse(NEXT, stored.next.as_deref())?);
        self.publish(&found.public()?).await?;
        keys.send_if_modified(|known| {
            let same = known
                .as_ref()
                .is_some_and(|known| known.signing.public() == found.signing.public() && known.next() == found.next());
            if !same {
                info!(key = %found.signing.public().id(), next = ?found.next().map(|next| next.id()), "read the keys");
                *known = Some(Arc::new(found));
            }
            !same
        });
        Ok(())
    }

    async fn read(&self) -> Result<Stored, KeyError> {
        let secret = match self.secrets.get(&self.secret).await {
            Err(kube::Error::Api(status)) if status.code == NOT_FOUND => {
                // By server-side apply: RBAC cannot restrict `create` to a name, but it can restrict `patch`.
                let empty =
                    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": self.secret}, "type": "Opaque"});
                self.secrets.patch(&self.secret, &PatchParams::apply(FIELD_MANAGER), &Patch::Apply(empty)).await
            }
            read => read,
        };
        let secret = secret.map_err(|error| KeyError::Secret(self.secret.clone(), Box::new(error)))?;
        let mut data = secret.data.unwrap_or_default();
        let mut text = |entry| data.remove(entry).and_then(|ByteString(bytes)| String::from_utf8(bytes).ok());
        let (key, next) = (text(KEY), text(NEXT));
        Ok(Stored { version: secret.metadata.resource_version.unwrap_or_default(), key, next })
    }

    fn parse(&self, entry: &'static str, text: Option<&str>) -> Result<Option<SigningKey>, KeyError> {
        let unusable = |error| KeyError::Unusable(self.secret.clone(), entry, error);
        text.map(SigningKey::from_pem).transpose().map_err(unusable)
    }

    /// Stores `data` unless the Secret was written after `version`. Returns whether it was stored.
    async fn write(&self, version: &str, data: serde_json::Value) -> Result<bool, KeyError> {
        let patch = json!({ "metadata": { "resourceVersion": version }, "data": data });
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        match self.secrets.patch(&self.secret, &params, &Patch::Merge(patch)).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == CONFLICT => Ok(false),
            Err(error) => Err(KeyError::Secret(self.secret.clone(), Box::new(error))),
        }
    }

    async fn publish(&self, keys: &PublicKeys) -> Result<(), KeyError> {
        let failed = |error| KeyError::ConfigMap(self.config_map.clone(), Box::new(error));
        let text = keys.to_string();
        let published = match self.config_maps.get(&self.config_map).await {
            Ok(found) => found.data.and_then(|mut data| data.remove(PUBLIC)),
            Err(kube::Error::Api(status)) if status.code == NOT_FOUND => None,
            Err(error) => return Err(failed(error)),
        };
        if published.as_deref() == Some(&*text) {
            return Ok(());
        }
        let patch = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": self.config_map },
            "data": { PUBLIC: text },
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        self.config_maps.patch(&self.config_map, &params, &Patch::Apply(patch)).await.map_err(failed)?;
        info!(config_map = self.config_map, "published the public keys");
        Ok(())
    }
}

fn bytes(text: &str) -> ByteString {
    ByteString(text.as_bytes().to_vec())
}

const fn null_value() -> serde_json::Value {
    serde_json::Value::Null
}
