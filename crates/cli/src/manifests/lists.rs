//! Lists of objects, as kubectl reads them.

use serde_json::{Map, Value};

/// The members by which an object says what it is.
const MEMBERS: [&str; 2] = ["apiVersion", "kind"];

/// What the items of a list are if they do not say so: API servers leave it out in a `DeploymentList`.
pub(crate) struct ItemKind {
    values: [String; 2],
}

impl ItemKind {
    /// Returns it for a list: for any object with a list called `items`, whatever its kind. `None` for other objects.
    pub(crate) fn of_list(object: &Value) -> Option<Self> {
        object.get("items")?.as_array()?;
        let [api_version, kind] = MEMBERS.map(|member| object.get(member).and_then(Value::as_str).unwrap_or_default());
        let kind = kind.strip_suffix("List").unwrap_or_default();
        Some(Self { values: [api_version, kind].map(str::to_owned) })
    }

    /// Adds what an item does not say, and returns the names of these members.
    pub(crate) fn add_to(&self, item: &mut Value) -> Vec<&'static str> {
        let Some(object) = item.as_object_mut().filter(|object| !self.values[1].is_empty() && is_unnamed(object))
        else {
            return Vec::new();
        };
        let missing: Vec<_> =
            MEMBERS.into_iter().zip(&self.values).filter(|(key, _)| !object.contains_key(*key)).collect();
        object.extend(missing.iter().map(|(key, value)| ((*key).to_owned(), Value::from(value.as_str()))));
        missing.into_iter().map(|(key, _)| key).collect()
    }
}

fn is_unnamed(object: &Map<String, Value>) -> bool {
    object.get("kind").and_then(Value::as_str).unwrap_or_default().is_empty()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn items_without_a_kind_have_that_of_the_list() {
        for (list, item, said) in [
            (
                json!({"apiVersion": "apps/v1", "kind": "DeploymentList"}),
                json!({}),
                json!({"apiVersion": "apps/v1", "kind": "Deployment"}),
            ),
            (json!({"apiVersion": "v1", "kind": "List"}), json!({}), json!({})),
            (json!({"apiVersion": "v1", "kind": "List"}), json!({"kind": "Pod"}), json!({"kind": "Pod"})),
            (json!({"apiVersion": "v1", "kind": "PodList"}), json!({"kind": "Other"}), json!({"kind": "Other"})),
            (json!({"apiVersion": "v1", "kind": "PodList"}), json!(7), json!(7)),
        ] {
            let mut list = list;
            assert!(ItemKind::of_list(&list).is_none(), "without items");
            list["items"] = json!([item]);
            let mut item = item;
            let added = ItemKind::of_list(&list).unwrap().add_to(&mut item);
            assert_eq!(item, said);
            assert_eq!(added.is_empty(), said == list["items"][0]);
        }
    }
}
