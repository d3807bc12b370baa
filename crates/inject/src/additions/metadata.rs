//! The labels and annotations that are injected into a pod template.

use serde_json::{Map, Value, json};
use settings::{BALANCE_LABEL, BALANCE_LABEL_VALUE, STATUS_KEY};

use crate::additions::plan::Plan;
use crate::additions::previous::PreviousInjection;
use crate::json::empty_form::{object, set_or_remove};
use crate::status::Record;

/// The annotations of a pod template.
pub(crate) const ANNOTATIONS: &str = "annotations";
const LABELS: &str = "labels";

/// A label or an annotation that injection adds.
struct Member {
    /// The field of `metadata`.
    map: &'static str,
    key: &'static str,
    is_wanted: fn(&Plan) -> bool,
    /// Returns the value. The record has everything that this row and those before it replace.
    value: fn(&Record) -> String,
    /// Whether the author may have a value under this key; then the record keeps it.
    may_be_authors: bool,
    /// Returns the author's value that the injection replaced by `now`, null if there was none; `None` if `now` is not
    /// injected.
    replaced: fn(now: &Value, &PreviousInjection) -> Option<Value>,
}

/// Every label and annotation that can be injected. The status is last, because it has the record of all others.
const ADDITIONS: &[Member] = &[
    Member {
        map: LABELS,
        key: BALANCE_LABEL,
        is_wanted: |plan| plan.proxy.balance.is_some(),
        value: |_| BALANCE_LABEL_VALUE.to_owned(),
        may_be_authors: true,
        replaced: |now, previous| match &previous.record {
            // Another value was written after the injection, and stays.
            _ if now != BALANCE_LABEL_VALUE => None,
            Some(record) => record.labels.get(BALANCE_LABEL).cloned(),
            None => previous.balance_keys.is_some().then_some(Value::Null),
        },
    },
    Member {
        map: ANNOTATIONS,
        key: STATUS_KEY,
        is_wanted: |_| true,
        value: Record::text,
        may_be_authors: false,
        replaced: |_, _| Some(Value::Null),
    },
];

/// Adds the labels and annotations of a plan to the `metadata` of a pod template.
pub(crate) fn add(metadata: &mut Map<String, Value>, plan: &Plan, mut record: Record) {
    for Member { map, key, value, may_be_authors, .. } in ADDITIONS.iter().filter(|member| (member.is_wanted)(plan)) {
        record.empty_forms.record(map, metadata.get(*map));
        let mut members = object(metadata.get(*map));
        if *may_be_authors {
            record.empty_forms.record(key, members.get(*key));
            record.labels.insert((*key).to_owned(), members.get(*key).cloned().unwrap_or_default());
        }
        members.insert((*key).to_owned(), value(&record).into());
        metadata.insert((*map).to_owned(), members.into());
    }
}

/// Removes injected labels and annotations from the `metadata` of a pod template.
pub(crate) fn remove(metadata: &mut Map<String, Value>, previous: &PreviousInjection) {
    let empty_forms = previous.empty_forms();
    for Member { map, key, replaced, .. } in ADDITIONS {
        let mut members = object(metadata.get(*map));
        let Some(author) = members.get(*key).and_then(|now| replaced(now, previous)) else { continue };
        let author = if author.is_null() { empty_forms.form(key).value(json!({})) } else { Some(author) };
        set_or_remove(&mut members, key, author);
        set_or_remove(metadata, map, empty_forms.or_empty(map, members));
    }
}
