//! The status as JSON and YAML.

use anyhow::Context as _;

use super::compare::Status;

/// Returns it as JSON, in lines.
pub(super) fn json(status: &Status) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(status)? + "\n")
}

/// Returns the same as YAML.
pub(super) fn yaml(status: &Status) -> anyhow::Result<String> {
    let value = serde_json::to_value(status)?;
    let text = serde_saphyr::to_string(&value).context("the status cannot be written as YAML")?;
    Ok(text.trim_end().to_owned() + "\n")
}
