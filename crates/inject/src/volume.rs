//! The volume by which the proxy gets its certificate.

use serde_json::{Value, json};
use settings::TLS_FOLDER;

use crate::blank::Blanks;
use crate::container::Origin;
use crate::plan::Plan;
use crate::update;

/// The member of a pod's `spec`.
pub(crate) const VOLUMES: &str = "volumes";
/// The volume's name.
pub(crate) const TLS_VOLUME: &str = "recycling-proxy-tls";

/// Whether an entry of `volumes` was injected.
pub(crate) fn is_ours(volume: Option<&Value>, origin: Origin) -> bool {
    let Some(volume) = volume.filter(|volume| volume.get("name").is_some_and(|name| name == TLS_VOLUME)) else {
        return false;
    };
    match origin {
        Origin::Recorded => true,
        Origin::Guessed => volume.pointer("/secret/items") == Some(&items()),
    }
}

/// The volume, where TLS is to be ended.
fn wanted(plan: &Plan) -> Option<Value> {
    let secret = plan.tls_secret.as_ref()?;
    // Optional: a pod whose Secret is missing starts, and its proxy waits for the certificate.
    let source = json!({"secretName": secret.as_str(), "optional": true, "items": items()});
    Some(json!({"name": TLS_VOLUME, "secret": source}))
}

fn items() -> Value {
    json!([{"key": "tls.crt", "path": "tls.crt"}, {"key": "tls.key", "path": "tls.key"}])
}

/// How the proxy's container mounts the volume.
pub(crate) fn mount() -> Value {
    json!({"name": TLS_VOLUME, "mountPath": TLS_FOLDER, "readOnly": true})
}

/// `volumes` as they are wanted: ours up to date where it is, else at the end. `author` is the list without ours.
pub(crate) fn injected(now: Option<&Value>, author: Option<&Value>, plan: &Plan, origin: Origin) -> Option<Value> {
    let Some(wanted) = wanted(plan) else { return author.cloned() };
    let mut list = now.and_then(Value::as_array).cloned().unwrap_or_default();
    match list.iter_mut().find(|volume| is_ours(Some(volume), origin)) {
        Some(volume) => *volume = update::updated_volume(volume, &wanted),
        None => list.push(wanted),
    }
    Some(Value::Array(list))
}

/// `volumes` without ours.
pub(crate) fn without_ours(list: Option<&Value>, blanks: &Blanks, origin: Origin) -> Option<Value> {
    let entries = list.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let others: Vec<Value> = entries.iter().filter(|entry| !is_ours(Some(entry), origin)).cloned().collect();
    if others.len() == entries.len() {
        return list.cloned();
    }
    if others.is_empty() { blanks.was(VOLUMES).value(Value::Array(others)) } else { Some(Value::Array(others)) }
}
