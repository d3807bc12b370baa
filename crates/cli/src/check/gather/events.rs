//! Reads Warning Events.

use k8s_openapi::api::core::v1::Event;
use kube::api::{Api, ListParams};

use super::Reader;

/// Returns the Warning Events of the namespace, or of all.
///
/// # Errors
/// The cluster cannot be reached.
pub(crate) async fn warning_events(reader: &mut Reader) -> anyhow::Result<Vec<Event>> {
    let events: Api<Event> = match &reader.namespace {
        Some(namespace) => Api::namespaced(reader.client.clone(), namespace),
        None => Api::all(reader.client.clone()),
    };
    let read = events.list(&ListParams::default().fields("type=Warning")).await;
    Ok(reader.noted(read, "Events")?.map(|list| list.items).unwrap_or_default())
}
