//! The largest object that injection may produce.

use std::io;

use json_patch::Patch;
use serde::Serialize;
use serde_json::Value;

use crate::additions::metadata::ANNOTATIONS;

/// The most bytes in keys and values of an object's annotations (`TotalAnnotationSizeLimitB` of Kubernetes).
const MAX_ANNOTATION_BYTES: usize = 256 << 10;
/// The most bytes of an object. The default limit of a request to etcd is 1.5 MiB, and an API server adds managed
/// fields. Its storage format is mostly shorter than JSON, so this limit may exclude objects that would fit.
const MAX_BYTES: usize = (1536 - 64) << 10;

/// Returns whether the API server may refuse the `workload` with the `patch` applied, after which its pod template has
/// this `metadata`.
pub(crate) fn is_too_large(workload: &Value, patch: &Patch, metadata: Option<&Value>) -> bool {
    annotation_bytes(metadata) > MAX_ANNOTATION_BYTES || bytes(workload).saturating_add(bytes(patch)) > MAX_BYTES
}

fn annotation_bytes(metadata: Option<&Value>) -> usize {
    let annotations = metadata.and_then(|metadata| metadata.get(ANNOTATIONS)).and_then(Value::as_object);
    let bytes = |(key, value): (&String, &Value)| key.len() + value.as_str().unwrap_or_default().len();
    annotations.into_iter().flatten().map(bytes).sum()
}

/// Returns the length of its JSON.
fn bytes(value: &impl Serialize) -> usize {
    let mut counter = Counter(0);
    // Writing a JSON value to a counter cannot fail.
    serde_json::to_writer(&mut counter, value).map_or(usize::MAX, |()| counter.0)
}

/// Counts what is written to it.
struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn annotations_are_accepted_up_to_their_limit() {
        let metadata = |length: usize| json!({"annotations": {"k": "x".repeat(length), "n": null}});
        let is_too_large = |length| is_too_large(&json!({}), &Patch::default(), Some(&metadata(length)));
        assert!(!is_too_large(MAX_ANNOTATION_BYTES - 2));
        assert!(is_too_large(MAX_ANNOTATION_BYTES - 1));
    }

    #[test]
    fn an_object_is_measured_with_its_patch() {
        let object = |length: usize| json!("x".repeat(length - 2));
        let patch: Patch = serde_json::from_value(json!([{"op": "remove", "path": "/a"}])).unwrap();
        let added = bytes(&patch);
        assert_eq!(added, r#"[{"op":"remove","path":"/a"}]"#.len());
        assert!(!is_too_large(&object(MAX_BYTES - added), &patch, None));
        assert!(is_too_large(&object(MAX_BYTES - added + 1), &patch, None));
    }
}
