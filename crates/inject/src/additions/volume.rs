//! The volumes that are injected, and their mounts in the proxy's container.

use serde_json::{Value, json};
use settings::TLS_FOLDER;

use crate::additions::entry::Entry;
use crate::additions::plan::Plan;
use crate::json::named::name;

/// Every volume that can be injected.
pub(crate) const ADDITIONS: &[Entry] = &[Entry {
    name: TLS_VOLUME,
    has_injected_form: |volume| volume.pointer("/secret/items") == Some(&certificate_files()),
    wanted: tls,
    mount_path: Some(TLS_FOLDER),
}];

const TLS_VOLUME: &str = "recycling-proxy-tls";

/// Returns the volume with the certificate for TLS.
fn tls(plan: &Plan) -> Option<Value> {
    let secret = plan.tls_secret.as_ref()?.as_str();
    // The Secret is optional, so that the pod starts without it. The proxy waits for the certificate.
    let source = json!({"secretName": secret, "optional": true, "items": certificate_files()});
    Some(json!({"name": TLS_VOLUME, "secret": source}))
}

/// Returns the keys of the Secret that are in the volume.
fn certificate_files() -> Value {
    json!([{"key": "tls.crt", "path": "tls.crt"}, {"key": "tls.key", "path": "tls.key"}])
}

/// Returns the `volumeMounts` of the proxy's container for a plan.
pub(crate) fn mounts(plan: &Plan) -> Vec<Value> {
    ADDITIONS.iter().filter(|volume| (volume.wanted)(plan).is_some()).filter_map(mount).collect()
}

pub(crate) fn mount(volume: &Entry) -> Option<Value> {
    Some(json!({"name": volume.name, "mountPath": volume.mount_path?, "readOnly": true}))
}

/// Returns whether a mount is injected.
pub(crate) fn is_injected_mount(mount: &Value) -> bool {
    ADDITIONS.iter().any(|volume| name(mount) == Some(volume.name))
}
