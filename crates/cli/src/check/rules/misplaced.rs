//! Annotations in places where they have no effect.

use serde_json::Value;
use settings::{Annotation, BALANCE_LABEL, PREFIX, STATUS_KEY};

use super::super::finding::{Finding, FindingId};
use super::super::objects::texts;

/// Where a workload, and a template in it, have annotations and labels.
const PLACES: [&str; 2] = ["/metadata", "/spec/template/metadata"];

/// Returns what there is to say about annotations on an object; `is_read` says whether annotations of ours are expected
/// on it.
pub(crate) fn misplaced(object: &Value, is_read: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for place in PLACES {
        let annotations = texts(object, &format!("{place}/annotations"));
        let labels = texts(object, &format!("{place}/labels"));
        findings.extend(annotations.keys().chain(labels.keys()).filter_map(|key| prefix(key)));
        findings.extend(labels.keys().filter_map(|key| label(key, place)));
        if !is_read {
            findings.extend(annotations.keys().filter_map(|key| kind(object, key)));
        }
    }
    findings
}

fn prefix(key: &str) -> Option<Finding> {
    let (prefix, name) = key.split_once('/')?;
    let ours = Annotation::of_key(&format!("{PREFIX}{name}"))?;
    (prefix.to_lowercase().contains("evenkeel") && !key.starts_with(PREFIX)).then(|| {
        FindingId::AnnotationPrefix.says(format!("{key} is not read: the prefix is {PREFIX}")).fix(format!("{ours}"))
    })
}

/// The label of balancing is injected.
fn label(key: &str, place: &str) -> Option<Finding> {
    let ours = Annotation::of_key(key)?;
    (key != BALANCE_LABEL || place == PLACES[0]).then(|| {
        FindingId::AnnotationMisplaced
            .says(format!("{ours} is a label, and is read as an annotation alone"))
            .fix("make it an annotation")
    })
}

fn kind(object: &Value, key: &str) -> Option<Finding> {
    let ours = Annotation::of_key(key).filter(|_| key != STATUS_KEY)?;
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default().escape_debug();
    Some(
        FindingId::AnnotationMisplaced
            .says(format!("{ours} has no effect on a {kind}"))
            .fix("annotate the Deployment, or its pod template"),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(object: &Value, is_read: bool) -> Vec<FindingId> {
        misplaced(object, is_read).into_iter().map(|finding| finding.id).collect()
    }

    #[test]
    fn annotations_where_the_webhook_does_not_read_them_have_a_finding() {
        let with = |place: &str, key: &str| json!({"kind": "X", "metadata": {place: {key: "1"}}});
        let key = "evenkeel.dev/max-requests";
        for (object, workload, id) in [
            (with("annotations", key), true, None),
            (with("annotations", key), false, Some(FindingId::AnnotationMisplaced)),
            (with("annotations", "evenkeel.dev/status"), false, None),
            (with("labels", key), true, Some(FindingId::AnnotationMisplaced)),
            (with("labels", "evenkeel.dev/inject-me"), true, None),
            (with("annotations", "evenkeel.io/max-requests"), true, Some(FindingId::AnnotationPrefix)),
            (with("annotations", "evenkeel/jitter"), true, Some(FindingId::AnnotationPrefix)),
            (with("annotations", "example.com/max-requests"), true, None),
            (json!({"spec": {"template": {"metadata": {"labels": {"evenkeel.dev/balance": "on"}}}}}), true, None),
            (
                json!({"spec": {"template": {"metadata": {"labels": {key: "1"}}}}}),
                true,
                Some(FindingId::AnnotationMisplaced),
            ),
        ] {
            assert_eq!(found(&object, workload), Vec::from_iter(id), "{object}");
        }
    }
}
