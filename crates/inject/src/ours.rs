//! What tells our containers and our volume from those of others.

use serde_json::{Value, json};

use crate::node::{Node, Unreadable};

/// The native sidecar: an init container that is ready before the app starts and ends after it.
pub const PROXY_CONTAINER: &str = "recycling-proxy";
/// The init container that leads inbound connections to the sidecar, and ends.
pub const REDIRECT_CONTAINER: &str = "recycling-proxy-redirect";
/// The name of the admin port; a port name has at most 15 characters.
pub(crate) const ADMIN_PORT_NAME: &str = "evenkeel-admin";
/// The name of the volume by which the proxy gets its certificate.
pub(crate) const TLS_VOLUME: &str = "recycling-proxy-tls";

/// Whether an earlier injection left its record in the pod template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It did: init containers of our names are ours, however they have been edited since.
    Recorded,
    /// It did not, or somebody dropped it: ours are those that run our commands.
    Guessed,
}

/// Whether an entry of `initContainers` was injected.
pub(crate) fn is_our_container(container: Option<&Value>, origin: Origin) -> bool {
    let Some(container) = container else { return false };
    let command = match container.get("name").and_then(Value::as_str) {
        Some(PROXY_CONTAINER) => "run",
        Some(REDIRECT_CONTAINER) => "redirect",
        Some(_) | None => return false,
    };
    match origin {
        Origin::Recorded => true,
        Origin::Guessed => container.get("args") == Some(&json!([command])),
    }
}

/// The injected container of this name, in a pod template that has it.
pub(crate) fn container<'a>(template: &Node<'a>, name: &str, origin: Origin) -> Result<Option<&'a Value>, Unreadable> {
    let entries = template.path(&["spec", "initContainers"])?.items()?;
    let is_it = |entry: &&Value| {
        entry.get("name").and_then(Value::as_str) == Some(name) && is_our_container(Some(entry), origin)
    };
    Ok(entries.iter().filter_map(Node::raw).find(is_it))
}

/// The value of an environment variable of a container.
pub(crate) fn variable<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    let variables = container.get("env").and_then(Value::as_array).into_iter().flatten();
    let mut named = variables.filter(|variable| variable.get("name").and_then(Value::as_str) == Some(name));
    named.next()?.get("value")?.as_str()
}

/// Whether an entry of `volumes` was injected.
pub(crate) fn is_our_volume(volume: Option<&Value>, origin: Origin) -> bool {
    let Some(volume) = volume.filter(|volume| volume.get("name").is_some_and(|name| name == TLS_VOLUME)) else {
        return false;
    };
    match origin {
        Origin::Recorded => true,
        Origin::Guessed => volume.pointer("/secret/items") == Some(&certificate_files()),
    }
}

/// The keys of the Secret that the volume shows.
pub(crate) fn certificate_files() -> Value {
    json!([{"key": "tls.crt", "path": "tls.crt"}, {"key": "tls.key", "path": "tls.key"}])
}
