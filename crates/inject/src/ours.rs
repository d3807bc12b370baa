//! Lookups in the containers that an earlier injection added.

use serde_json::Value;

use crate::entry::{List, Origin, name};
use crate::node::{Node, Unreadable};

/// Returns the injected container with this name, if the pod template has it.
pub(crate) fn container<'a>(
    template: &Node<'a>,
    called: &str,
    origin: Origin,
) -> Result<Option<&'a Value>, Unreadable> {
    let list = List::InitContainers;
    let entries = template.path(&["spec", list.field()])?.items()?;
    let is_it = |entry: &&Value| name(entry) == Some(called) && list.is_ours(entry, origin);
    Ok(entries.iter().filter_map(Node::raw).find(is_it))
}

/// Returns the value of an environment variable of a container.
pub(crate) fn variable<'a>(container: &'a Value, called: &str) -> Option<&'a str> {
    let mut variables = container.get("env").and_then(Value::as_array).into_iter().flatten();
    variables.find(|variable| name(variable) == Some(called))?.get("value")?.as_str()
}
