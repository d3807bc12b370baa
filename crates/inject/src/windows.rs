//! Detects pods that run on Windows.

use serde_json::Value;

use crate::json::node::{Node, Unreadable};

/// The labels of nodes for their operating system.
const SYSTEM: [&str; 2] = ["kubernetes.io/os", "beta.kubernetes.io/os"];
/// The label that only Windows nodes have.
const BUILD: &str = "node.kubernetes.io/windows-build";
const LINUX: &str = "linux";
const WINDOWS: &str = "windows";

/// Returns whether the pod with this `spec` requires Windows, or excludes Linux. A pod that may run on both counts as
/// one for Linux.
pub(crate) fn is_required(spec: &Node<'_>) -> Result<bool, Unreadable> {
    let named = spec.path(&["os", "name"])?.text()?;
    let selector = spec.member("nodeSelector")?;
    let mut selected = Vec::new();
    for label in SYSTEM {
        selected.extend(selector.member(label)?.text()?);
    }
    let required = required_terms(spec)?;
    let is_selected = |system| named == Some(system) || selected.contains(&system);
    let excludes_linux = !required.is_empty() && required.iter().all(|term| term.iter().any(excludes_linux));
    let requires_linux = !required.is_empty() && required.iter().all(|term| term.iter().any(requires_linux));
    if is_selected(WINDOWS) || selector.member(BUILD)?.text()?.is_some() || excludes_linux {
        return Ok(true);
    }
    // Charts for both systems set these options always.
    Ok(!is_selected(LINUX) && !requires_linux && has_windows_options(spec)?)
}

/// Returns the required terms of the node affinity. One term must hold with all its requirements.
fn required_terms<'a>(spec: &Node<'a>) -> Result<Vec<Vec<Requirement<'a>>>, Unreadable> {
    let required = ["affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"];
    let mut terms = Vec::new();
    for term in spec.path(&required)?.items()? {
        let expressions = term.member("matchExpressions")?.items()?;
        terms.push(expressions.iter().map(Requirement::read).collect::<Result<_, _>>()?);
    }
    Ok(terms)
}

/// A requirement on the label of a node.
struct Requirement<'a> {
    label: &'a str,
    operator: &'a str,
    values: Vec<&'a str>,
}

impl<'a> Requirement<'a> {
    fn read(node: &Node<'a>) -> Result<Self, Unreadable> {
        let text = |key| Ok(node.member(key)?.text()?.unwrap_or_default());
        let mut values = Vec::new();
        for value in node.member("values")?.items()? {
            values.extend(value.text()?);
        }
        Ok(Self { label: text("key")?, operator: text("operator")?, values })
    }
}

fn excludes_linux(requirement: &Requirement<'_>) -> bool {
    let Requirement { label, operator, values } = requirement;
    match *operator {
        "In" if SYSTEM.contains(label) => !values.contains(&LINUX),
        "NotIn" if SYSTEM.contains(label) => values.contains(&LINUX),
        "In" | "Exists" | "Gt" | "Lt" => *label == BUILD,
        _ => false,
    }
}

fn requires_linux(requirement: &Requirement<'_>) -> bool {
    let Requirement { label, operator, values } = requirement;
    let is_system = SYSTEM.contains(label);
    is_system && *operator == "In" && values.iter().all(|value| *value == LINUX) && !values.is_empty()
}

/// Returns whether the pod or a container has options that only Windows has.
fn has_windows_options(spec: &Node<'_>) -> Result<bool, Unreadable> {
    let mut holders = vec![spec.clone()];
    for list in ["containers", "initContainers"] {
        holders.extend(spec.member(list)?.items()?);
    }
    for holder in holders {
        let options = holder.path(&["securityContext", "windowsOptions"])?;
        if options.raw().and_then(Value::as_object).is_some_and(|options| !options.is_empty()) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn assert_windows(spec: &Value, expected: bool) {
        assert_eq!(is_required(&Node::root(spec)).unwrap(), expected, "{spec}");
    }

    fn affinity(terms: &Value) -> Value {
        let required = json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}});
        json!({"affinity": {"nodeAffinity": required}})
    }

    #[test]
    fn windows_is_recognized_by_os_name_and_node_selector() {
        for (spec, expected) in [
            (json!({}), false),
            (json!({"os": {"name": "linux"}}), false),
            (json!({"os": {"name": "windows"}}), true),
            (json!({"nodeSelector": {"kubernetes.io/os": "windows"}}), true),
            (json!({"nodeSelector": {"beta.kubernetes.io/os": "windows"}}), true),
            (json!({"nodeSelector": {"kubernetes.io/os": "linux"}}), false),
            (json!({"nodeSelector": {"node.kubernetes.io/windows-build": "10.0.20348"}}), true),
        ] {
            assert_windows(&spec, expected);
        }
    }

    #[test]
    fn windows_is_recognized_by_required_node_affinity() {
        let on = |key: &str, operator: &str, values: Value| json!({"key": key, "operator": operator, "values": values});
        let os = |operator: &str, values: Value| on("kubernetes.io/os", operator, values);
        let term = |expressions: &[Value]| json!({"matchExpressions": expressions});
        let other = on("zone", "In", json!(["a"]));
        for (terms, expected) in [
            (vec![term(&[os("In", json!(["windows"]))])], true),
            (vec![term(&[os("NotIn", json!(["linux"]))])], true),
            (vec![term(&[on("beta.kubernetes.io/os", "In", json!(["windows"]))])], true),
            (vec![term(&[on("node.kubernetes.io/windows-build", "Exists", json!([]))])], true),
            (vec![term(&[other.clone(), os("In", json!(["windows"]))])], true),
            (vec![term(&[os("In", json!(["windows"]))]), term(&[os("NotIn", json!(["linux"]))])], true),
            // One term is enough for a node.
            (vec![term(&[os("In", json!(["windows"]))]), term(std::slice::from_ref(&other))], false),
            (vec![term(&[os("In", json!(["windows", "linux"]))])], false),
            (vec![term(&[os("NotIn", json!(["windows"]))])], false),
            (vec![term(&[os("Exists", json!(null))])], false),
            (vec![term(std::slice::from_ref(&other))], false),
            (vec![json!({})], false),
            (vec![], false),
        ] {
            assert_windows(&affinity(&json!(terms)), expected);
        }
        let preferred = json!([{"preference": term(&[os("In", json!(["windows"]))])}]);
        assert_windows(
            &json!({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}}),
            false,
        );
    }

    #[test]
    fn windows_is_recognized_by_windows_options_unless_linux_is_selected() {
        let options = json!({"windowsOptions": {"runAsUserName": "ContainerUser"}});
        let linux = affinity(&json!([{"matchExpressions": [
            {"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]},
        ]}]));
        for (spec, expected) in [
            (json!({"securityContext": options}), true),
            (json!({"containers": [{"securityContext": options}]}), true),
            (json!({"initContainers": [{"securityContext": options}]}), true),
            (json!({"securityContext": {"windowsOptions": {}}}), false),
            (json!({"securityContext": {"windowsOptions": null}}), false),
            (json!({"securityContext": options, "nodeSelector": {"kubernetes.io/os": "linux"}}), false),
            (json!({"securityContext": options, "affinity": linux["affinity"]}), false),
        ] {
            assert_windows(&spec, expected);
        }
    }
}
