//! The volume by which the proxy gets its certificate.

use serde_json::{Value, json};
use settings::{SecretName, TLS_FOLDER};

use crate::blank::Blanks;
use crate::ours::{Origin, TLS_VOLUME, certificate_files, is_our_volume};
use crate::update;

/// The member of a pod's `spec`.
pub(crate) const VOLUMES: &str = "volumes";
/// The volume with the certificate of this Secret.
fn wanted(secret: &SecretName) -> Value {
    // Optional: a pod whose Secret is missing starts, and its proxy waits for the certificate.
    let source = json!({"secretName": secret.as_str(), "optional": true, "items": certificate_files()});
    json!({"name": TLS_VOLUME, "secret": source})
}

/// How the proxy's container mounts the volume.
pub(crate) fn mount() -> Value {
    json!({"name": TLS_VOLUME, "mountPath": TLS_FOLDER, "readOnly": true})
}

/// `volumes` as they are wanted: ours up to date where it is, else at the end. `author` is the list without ours, which stays where TLS is
/// not ended.
pub(crate) fn injected(
    now: Option<&Value>,
    author: Option<&Value>,
    secret: Option<&SecretName>,
    origin: Origin,
) -> Option<Value> {
    let Some(wanted) = secret.map(wanted) else { return author.cloned() };
    let mut list = now.and_then(Value::as_array).cloned().unwrap_or_default();
    match list.iter_mut().find(|volume| is_our_volume(Some(volume), origin)) {
        Some(volume) => *volume = update::updated_volume(volume, &wanted),
        None => list.push(wanted),
    }
    Some(Value::Array(list))
}

/// `volumes` without ours.
pub(crate) fn without_ours(list: Option<&Value>, blanks: &Blanks, origin: Origin) -> Option<Value> {
    let entries = list.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let others: Vec<Value> = entries.iter().filter(|entry| !is_our_volume(Some(entry), origin)).cloned().collect();
    if others.len() == entries.len() {
        return list.cloned();
    }
    if others.is_empty() { blanks.was(VOLUMES).value(Value::Array(others)) } else { Some(Value::Array(others)) }
}
