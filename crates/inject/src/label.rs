//! The labels that are injected into a pod template.

use serde_json::{Map, Value, json};
use settings::{BALANCE_LABEL, BALANCE_LABEL_VALUE};

use crate::blank::put;
use crate::earlier::Earlier;
use crate::plan::Plan;
use crate::sites::object;
use crate::status::Record;

/// The member of a pod template's `metadata`.
const LABELS: &str = "labels";

/// A label that injection adds.
struct Label {
    key: &'static str,
    value: &'static str,
    is_wanted: fn(&Plan) -> bool,
    /// Whether an injection whose record is lost added it.
    was_added: fn(&Earlier) -> bool,
}

/// Every label that can be injected.
const ADDITIONS: &[Label] = &[Label {
    key: BALANCE_LABEL,
    value: BALANCE_LABEL_VALUE,
    is_wanted: |plan| plan.proxy.balance.is_some(),
    was_added: |earlier| earlier.balance_keys.is_some(),
}];

/// Adds the labels for a plan to the `metadata` of a pod template.
pub(crate) fn add(metadata: &mut Map<String, Value>, plan: &Plan, record: &mut Record) {
    let mut wanted = ADDITIONS.iter().filter(|label| (label.is_wanted)(plan)).peekable();
    if wanted.peek().is_none() {
        return;
    }
    record.blanks.note(LABELS, metadata.get(LABELS));
    let mut labels = object(metadata.get(LABELS));
    for Label { key, value, .. } in wanted {
        record.blanks.note(key, labels.get(*key));
        let author = labels.insert((*key).to_owned(), (*value).into());
        record.labels.insert((*key).to_owned(), author.unwrap_or_default());
    }
    metadata.insert(LABELS.to_owned(), Value::Object(labels));
}

/// Removes them again. A value that somebody has written since stays.
pub(crate) fn remove(metadata: &mut Map<String, Value>, earlier: &Earlier) {
    let (mut labels, blanks) = (object(metadata.get(LABELS)), earlier.blanks());
    let mut is_changed = false;
    for label in ADDITIONS {
        let is_ours = labels.get(label.key).is_some_and(|value| value == label.value);
        let author = match &earlier.record {
            Some(record) => record.labels.get(label.key).cloned(),
            None => (label.was_added)(earlier).then_some(Value::Null),
        };
        let Some(author) = author.filter(|_| is_ours) else { continue };
        let author = if author.is_null() { blanks.was(label.key).value(json!({})) } else { Some(author) };
        put(&mut labels, label.key, author);
        is_changed = true;
    }
    if is_changed {
        put(metadata, LABELS, blanks.or_blank(LABELS, labels));
    }
}
