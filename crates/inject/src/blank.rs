//! What a place held before something was put there, so that it can be emptied in the same way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A way of holding nothing. They mean the same to Kubernetes, and differ in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Blank {
    /// The key is not there.
    #[default]
    Absent,
    /// The key has the value null.
    Null,
    /// The key has an empty list or object.
    Empty,
}

impl Blank {
    /// How `value` holds nothing; `None` where it holds something.
    pub(crate) fn of(value: Option<&Value>) -> Option<Self> {
        match value {
            None => Some(Self::Absent),
            Some(Value::Null) => Some(Self::Null),
            Some(Value::Array(list)) if list.is_empty() => Some(Self::Empty),
            Some(Value::Object(object)) if object.is_empty() => Some(Self::Empty),
            Some(Value::Array(_) | Value::Object(_) | Value::Bool(_) | Value::Number(_) | Value::String(_)) => None,
        }
    }

    /// The value that holds nothing in this way, where `empty` is the empty one.
    pub(crate) fn value(self, empty: Value) -> Option<Value> {
        match self {
            Self::Absent => None,
            Self::Null => Some(Value::Null),
            Self::Empty => Some(empty),
        }
    }
}

/// The places that held nothing otherwise than by absence, by a name for each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Blanks(BTreeMap<String, Blank>);

impl Blanks {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Remembers how `place` holds nothing, if it does.
    pub(crate) fn note(&mut self, place: &str, value: Option<&Value>) {
        match Blank::of(value) {
            Some(blank @ (Blank::Null | Blank::Empty)) => _ = self.0.insert(place.to_owned(), blank),
            Some(Blank::Absent) | None => {}
        }
    }

    /// How `place` held nothing.
    pub(crate) fn was(&self, place: &str) -> Blank {
        self.0.get(place).copied().unwrap_or_default()
    }

    /// What is left of an object whose member of ours is gone.
    pub(crate) fn or_blank(&self, place: &str, left: Map<String, Value>) -> Option<Value> {
        if left.is_empty() { self.was(place).value(Value::Object(left)) } else { Some(Value::Object(left)) }
    }
}

/// Gives a member of an object the value, or takes it away; its position stays.
pub(crate) fn put(object: &mut Map<String, Value>, key: &str, value: Option<Value>) {
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
    fn each_way_of_holding_nothing_comes_back() {
        for value in [None, Some(Value::Null), Some(json!({}))] {
            let mut blanks = Blanks::default();
            blanks.note("x", value.as_ref());
            let text = serde_json::to_string(&blanks).unwrap();
            let blanks: Blanks = serde_json::from_str(&text).unwrap();
            assert_eq!(blanks.or_blank("x", Map::new()), value);
        }
        assert_eq!(Blank::of(Some(&json!(["a"]))), None);
    }
}
