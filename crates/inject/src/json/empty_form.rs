//! The form of a field that was empty before injection wrote to it, so that removal restores it byte for byte.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A form of an empty field. Kubernetes treats all forms alike, but they differ in a manifest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EmptyForm {
    /// There is no such key.
    #[default]
    Absent,
    /// The value is null.
    Null,
    /// The value is an empty list or object.
    Empty,
}

impl EmptyForm {
    /// Returns the form of `value` if it is empty.
    pub(crate) fn of(value: Option<&Value>) -> Option<Self> {
        match value {
            None => Some(Self::Absent),
            Some(Value::Null) => Some(Self::Null),
            Some(Value::Array(list)) if list.is_empty() => Some(Self::Empty),
            Some(Value::Object(object)) if object.is_empty() => Some(Self::Empty),
            Some(Value::Array(_) | Value::Object(_) | Value::Bool(_) | Value::Number(_) | Value::String(_)) => None,
        }
    }

    /// Returns the value of this form; `empty` is the empty list or object.
    pub(crate) fn value(self, empty: Value) -> Option<Value> {
        match self {
            Self::Absent => None,
            Self::Null => Some(Value::Null),
            Self::Empty => Some(empty),
        }
    }
}

/// The fields that were null or empty rather than absent, by a name for each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct EmptyForms(BTreeMap<String, EmptyForm>);

impl EmptyForms {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Records the form of a field, if it is empty.
    pub(crate) fn record(&mut self, place: &str, value: Option<&Value>) {
        match EmptyForm::of(value) {
            Some(form @ (EmptyForm::Null | EmptyForm::Empty)) => _ = self.0.insert(place.to_owned(), form),
            Some(EmptyForm::Absent) | None => {}
        }
    }

    /// Returns the form of a field.
    pub(crate) fn form(&self, place: &str) -> EmptyForm {
        self.0.get(place).copied().unwrap_or_default()
    }

    /// Returns the object `left` after the removal of injected members; if it is empty, in its recorded form.
    pub(crate) fn or_empty(&self, place: &str, left: Map<String, Value>) -> Option<Value> {
        if left.is_empty() { self.form(place).value(Value::Object(left)) } else { Some(Value::Object(left)) }
    }
}

/// Returns a copy of an object, empty if it is absent.
pub(crate) fn object(value: Option<&Value>) -> Map<String, Value> {
    value.and_then(Value::as_object).cloned().unwrap_or_default()
}

/// Sets or removes a member of an object. A member that is there keeps its position.
pub(crate) fn set_or_remove(object: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    match value {
        Some(value) => _ = object.insert(key.to_owned(), value),
        None => _ = object.shift_remove(key),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_absent_null_or_empty_field_is_restored_as_it_was() {
        for value in [None, Some(Value::Null), Some(json!({}))] {
            let mut empty_forms = EmptyForms::default();
            empty_forms.record("x", value.as_ref());
            let text = serde_json::to_string(&empty_forms).unwrap();
            let empty_forms: EmptyForms = serde_json::from_str(&text).unwrap();
            assert_eq!(empty_forms.or_empty("x", Map::new()), value);
        }
        assert_eq!(EmptyForm::of(Some(&json!(["a"]))), None);
    }
}
