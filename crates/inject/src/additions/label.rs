//! The labels that are injected into a pod template.

use serde_json::{Map, Value, json};
use settings::{BALANCE_LABEL, BALANCE_LABEL_VALUE};

use crate::additions::plan::Plan;
use crate::additions::previous::PreviousInjection;
use crate::json::empty_form::{object, set_or_remove};
use crate::status::Record;

/// The field of `metadata`.
const LABELS: &str = "labels";

/// A label that injection adds.
struct Label {
    key: &'static str,
    value: &'static str,
    is_wanted: fn(&Plan) -> bool,
    /// Whether the injection added it. This decides if its record is lost.
    was_added: fn(&PreviousInjection) -> bool,
}

/// Every label that can be injected.
const ADDITIONS: &[Label] = &[Label {
    key: BALANCE_LABEL,
    value: BALANCE_LABEL_VALUE,
    is_wanted: |plan| plan.proxy.balance.is_some(),
    was_added: |previous| previous.balance_keys.is_some(),
}];

/// Adds the labels for a plan to the `metadata` of a pod template.
pub(crate) fn add(metadata: &mut Map<String, Value>, plan: &Plan, record: &mut Record) {
    let mut wanted = ADDITIONS.iter().filter(|label| (label.is_wanted)(plan)).peekable();
    if wanted.peek().is_none() {
        return;
    }
    record.empty_forms.record(LABELS, metadata.get(LABELS));
    let mut labels = object(metadata.get(LABELS));
    for Label { key, value, .. } in wanted {
        record.empty_forms.record(key, labels.get(*key));
        let author = labels.insert((*key).to_owned(), (*value).into());
        record.labels.insert((*key).to_owned(), author.unwrap_or_default());
    }
    metadata.insert(LABELS.to_owned(), Value::Object(labels));
}

/// Removes them again. A value that somebody has written since stays.
pub(crate) fn remove(metadata: &mut Map<String, Value>, previous: &PreviousInjection) {
    let (mut labels, empty_forms) = (object(metadata.get(LABELS)), previous.empty_forms());
    let mut is_changed = false;
    for label in ADDITIONS {
        let is_ours = labels.get(label.key).is_some_and(|value| value == label.value);
        let author = match &previous.record {
            Some(record) => record.labels.get(label.key).cloned(),
            None => (label.was_added)(previous).then_some(Value::Null),
        };
        let Some(author) = author.filter(|_| is_ours) else { continue };
        let author = if author.is_null() { empty_forms.form(label.key).value(json!({})) } else { Some(author) };
        set_or_remove(&mut labels, label.key, author);
        is_changed = true;
    }
    if is_changed {
        set_or_remove(metadata, LABELS, empty_forms.or_empty(LABELS, labels));
    }
}
