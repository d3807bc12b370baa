//! Objects with a `name` in a list, as Kubernetes has them.

use serde_json::Value;

/// Returns the name of an entry.
pub(crate) fn name(entry: &Value) -> Option<&str> {
    entry.get("name")?.as_str()
}

/// Returns the value of an environment variable of a container.
pub(crate) fn variable<'a>(container: &'a Value, called: &str) -> Option<&'a str> {
    let mut variables = container.get("env").and_then(Value::as_array).into_iter().flatten();
    variables.find(|variable| name(variable) == Some(called))?.get("value")?.as_str()
}
