//! Applies a patch to an object of a manifest, and keeps the order of its keys.

use anyhow::Context as _;
use json_patch::{Patch, PatchOperation};
use serde_json::Value;

/// Applies the operations in their order.
///
/// Unlike `json_patch::patch`, which fills the gap of a member that is taken away with the last one, this keeps the
/// order of keys.
pub(crate) fn apply(object: &mut Value, patch: &Patch) -> anyhow::Result<()> {
    for operation in &patch.0 {
        if !take_away(object, operation) {
            json_patch::patch(object, std::slice::from_ref(operation)).context("the patch does not fit its object")?;
        }
    }
    Ok(())
}

/// Takes a member of an object away; false where that is not what the operation is about.
fn take_away(object: &mut Value, operation: &PatchOperation) -> bool {
    let PatchOperation::Remove(remove) = operation else { return false };
    let Some((parent, member)) = remove.path.split_back() else { return false };
    match object.pointer_mut(parent.as_str()) {
        Some(Value::Object(members)) => members.shift_remove(member.decoded().as_ref()).is_some(),
        Some(_) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_keeps_the_order_of_keys() {
        let mut object = json!({"a": 1, "b/~": 2, "c": 3, "d": 4, "list": [1, 2]});
        let patch = json!([
            {"op": "remove", "path": "/b~1~0"},
            {"op": "remove", "path": "/list/0"},
            {"op": "add", "path": "/e", "value": 5},
        ]);
        apply(&mut object, &serde_json::from_value(patch).unwrap()).unwrap();
        assert_eq!(object.to_string(), r#"{"a":1,"c":3,"d":4,"list":[2],"e":5}"#);
        let absent = serde_json::from_value(json!([{"op": "remove", "path": "/z"}])).unwrap();
        assert!(apply(&mut object, &absent).is_err());
    }
}
