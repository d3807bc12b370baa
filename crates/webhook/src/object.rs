//! A Kubernetes object as text, and the memory that it takes once it is parsed.

use serde_json::Value;

use projection::{OBJECT, Projector};

/// The most bytes that a parsed value takes, in an array that has just grown or as a member of an object.
const VALUE: usize = 240;
/// Bytes that an array takes beside its elements: capacity for four.
const ARRAY: usize = 160;
/// Bytes that an object takes beside its members: capacity for four, and their index.
const OBJECT_COST: usize = 400;

/// The JSON text of an object, without `managedFields`.
pub(crate) struct ObjectText(Vec<u8>);

impl ObjectText {
    /// Returns the text of an object in well-formed JSON.
    pub(crate) fn of(json: &[u8]) -> Self {
        Self(Projector::project(&OBJECT, json))
    }

    /// Returns the text of a response that was read with [`OBJECT`].
    pub(crate) fn read(json: String) -> Self {
        Self(json.into_bytes())
    }

    /// Returns the most bytes that it takes once it is parsed: up to 70 times its length, if its author tries.
    pub(crate) fn cost(&self) -> usize {
        let (mut cost, mut in_string, mut escaped) = (VALUE + self.0.len(), false, false);
        for byte in &self.0 {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = in_string,
                b'"' => in_string = !in_string,
                // Each value comes first in an array or object, or follows a comma.
                b',' if !in_string => cost += VALUE,
                b'[' if !in_string => cost += ARRAY + VALUE,
                b'{' if !in_string => cost += OBJECT_COST + VALUE,
                _ => {}
            }
        }
        cost
    }

    /// Parses it. Returns an error if it is nested too deep.
    pub(crate) fn parse(&self) -> Result<Value, serde_json::Error> {
        serde_json::from_slice(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn punctuation_in_strings_does_not_count_as_values() {
        let of = |json: &str| {
            let text = ObjectText::of(format!(r#"{{"x":{json}}}"#).as_bytes());
            text.cost() - text.0.len() - VALUE - OBJECT_COST
        };
        for (json, cost) in [
            ("1", VALUE),
            ("[1,2]", ARRAY + 3 * VALUE),
            (r#"{"a":1,"b":{}}"#, 2 * OBJECT_COST + 4 * VALUE),
            (r#"{"a":"[{,,,"}"#, OBJECT_COST + 2 * VALUE),
            (r#"["\",,"]"#, ARRAY + 2 * VALUE),
            (r#"["\\\",,,"]"#, ARRAY + 2 * VALUE),
        ] {
            assert_eq!(of(json), cost, "{json}");
        }
    }

    #[test]
    fn managed_fields_are_not_read() {
        let text = br#"{"metadata":{"name":"a","managedFields":[{"f:spec":{}}]},"spec":{"managedFields":1}}"#;
        let parsed = ObjectText::of(text).parse().unwrap();
        assert_eq!(parsed, serde_json::json!({"metadata": {"name": "a"}, "spec": {"managedFields": 1}}));
    }
}
