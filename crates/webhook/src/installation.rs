//! The settings of the installation: its defaults, and the keys that its balancer publishes.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

use futures_util::StreamExt;
use inject::Installation;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use relisting::relisting;
use settings::{BALANCE_KEYS_FIELD, BalanceKeys};
use tokio::sync::watch;
use tracing::{info, warn};

/// The current installation. Clones share it.
#[derive(Clone, Debug)]
pub struct CurrentInstallation(watch::Sender<Arc<Installation>>);

/// The `ConfigMap` in which a balancer publishes its public keys, in the field [`BALANCE_KEYS_FIELD`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalanceKeysConfigMap {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl CurrentInstallation {
    /// Returns an installation with these defaults and no keys of a balancer.
    pub fn new(defaults: BTreeMap<String, String>) -> Self {
        Self(watch::Sender::new(Arc::new(defaults.into())))
    }

    /// Returns the current installation.
    pub fn now(&self) -> Arc<Installation> {
        Arc::clone(&self.0.borrow())
    }

    /// Watches the `ConfigMap` with the balancer's keys, for ever. It needs `get`, `list` and `watch` on it, by its
    /// name.
    pub(crate) async fn watch_balance_keys(self, client: Client, from: BalanceKeysConfigMap) {
        let BalanceKeysConfigMap { namespace, name } = from;
        let config_maps = Api::<ConfigMap>::namespaced(client, &namespace);
        let changes = relisting(|| watcher::watch_object(config_maps.clone(), &name));
        let mut changes = pin!(changes.default_backoff());
        while let Some(change) = changes.next().await {
            match change {
                Ok(config_map) => self.set_balance_keys(keys(config_map.as_ref()), &name),
                Err(error) => warn!(name, %error, "cannot watch the balancer's keys"),
            }
        }
    }

    fn set_balance_keys(&self, keys: Result<Option<BalanceKeys>, String>, name: &str) {
        let keys = match keys {
            Ok(keys) => keys,
            // The previous keys stay in use.
            Err(error) => return warn!(name, error, "the balancer's keys are invalid; the previous ones stay in use"),
        };
        self.0.send_if_modified(|installation| {
            if installation.balance_keys == keys {
                return false;
            }
            info!(name, keys = keys.as_ref().map(BalanceKeys::as_str), "the balancer's keys have changed");
            *installation = Arc::new(Installation { balance_keys: keys, ..Installation::clone(installation) });
            true
        });
    }
}

/// Returns the keys; `None` without a `ConfigMap`, or while it is empty.
fn keys(config_map: Option<&ConfigMap>) -> Result<Option<BalanceKeys>, String> {
    let field = config_map.and_then(|config_map| config_map.data.as_ref()?.get(BALANCE_KEYS_FIELD));
    let text = field.map(|text| text.trim()).filter(|text| !text.is_empty());
    text.map(str::parse).transpose().map_err(|settings::InvalidValue(expected)| format!("expected {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";

    fn config_map(field: &str, text: &str) -> ConfigMap {
        ConfigMap { data: Some(BTreeMap::from([(field.to_owned(), text.to_owned())])), ..ConfigMap::default() }
    }

    #[test]
    fn balance_keys_are_added_and_removed_and_invalid_ones_ignored() {
        let installation = CurrentInstallation::new(BTreeMap::from([("jitter".to_owned(), "0%".to_owned())]));
        let shared = installation.clone();
        for (config_map, expected) in [
            (None, None),
            (Some(config_map(BALANCE_KEYS_FIELD, &format!("{KEY}\n"))), Some(KEY)),
            (Some(config_map(BALANCE_KEYS_FIELD, "ssh-ed25519 AAAA")), Some(KEY)),
            (Some(config_map(BALANCE_KEYS_FIELD, "  ")), None),
            (Some(config_map(BALANCE_KEYS_FIELD, KEY)), Some(KEY)),
            (Some(config_map("other", KEY)), None),
            (None, None),
        ] {
            installation.set_balance_keys(keys(config_map.as_ref()), "keys");
            let now = shared.now();
            assert_eq!(now.balance_keys.as_ref().map(BalanceKeys::as_str), expected, "{config_map:?}");
            assert_eq!(now.defaults["jitter"], "0%");
        }
    }
}
