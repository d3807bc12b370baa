//! Strict reading of raw JSON: a value of a wrong type is an error that names its path.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// A value of a wrong type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: expected {expected}")]
pub struct Unreadable {
    /// The JSON pointer of the value.
    pub at: String,
    /// The expected type.
    pub expected: &'static str,
}

/// A path in an object and its value. As everywhere in Kubernetes, null counts as absent.
#[derive(Clone)]
pub(crate) struct Node<'a> {
    at: String,
    value: Option<&'a Value>,
}

impl<'a> Node<'a> {
    pub(crate) fn root(value: &'a Value) -> Self {
        Self { at: String::new(), value: Some(value) }
    }

    /// Returns the value as it is, including null.
    pub(crate) fn raw(&self) -> Option<&'a Value> {
        self.value
    }

    /// Returns a member of an object. It is absent if the object is.
    pub(crate) fn member(&self, key: &str) -> Result<Self, Unreadable> {
        let value = self.object()?.and_then(|object| object.get(key));
        Ok(Self { at: format!("{}/{}", self.at, key.replace('~', "~0").replace('/', "~1")), value })
    }

    /// Returns the node at a path of members.
    pub(crate) fn path(&self, keys: &[&str]) -> Result<Self, Unreadable> {
        keys.iter().try_fold(self.clone(), |node, key| node.member(key))
    }

    pub(crate) fn object(&self) -> Result<Option<&'a Map<String, Value>>, Unreadable> {
        match self.value {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(_) => Err(self.unreadable("an object")),
        }
    }

    /// Returns the items of a list; none if it is absent.
    pub(crate) fn items(&self) -> Result<Vec<Self>, Unreadable> {
        let item = |(index, value)| Self { at: format!("{}/{index}", self.at), value: Some(value) };
        match self.value {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(list)) => Ok(list.iter().enumerate().map(item).collect()),
            Some(_) => Err(self.unreadable("a list")),
        }
    }

    pub(crate) fn text(&self) -> Result<Option<&'a str>, Unreadable> {
        match self.value {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.unreadable("a string (in YAML, with quotes)")),
        }
    }

    pub(crate) fn is_true(&self) -> Result<bool, Unreadable> {
        match self.value {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(value)) => Ok(*value),
            Some(_) => Err(self.unreadable("true or false")),
        }
    }

    pub(crate) fn whole_number(&self) -> Result<Option<u64>, Unreadable> {
        match self.value {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_u64().map(Some).ok_or_else(|| self.unreadable("a whole number")),
        }
    }

    /// Reads a port; 0 counts as absent, as it does for a `hostPort`.
    pub(crate) fn port(&self) -> Result<Option<u16>, Unreadable> {
        let number = self.whole_number()?.filter(|number| *number > 0);
        let port = number.map(u16::try_from).transpose();
        port.map_err(|_| self.unreadable("a port from 1 to 65535"))
    }

    /// Reads annotations or labels.
    pub(crate) fn string_map(&self) -> Result<BTreeMap<String, String>, Unreadable> {
        let mut map = BTreeMap::new();
        for key in self.object()?.into_iter().flat_map(Map::keys) {
            // The API server treats null as an empty string.
            map.insert(key.clone(), self.member(key)?.text()?.unwrap_or_default().to_owned());
        }
        Ok(map)
    }

    /// Returns the error for this node.
    pub(crate) fn unreadable(&self, expected: &'static str) -> Unreadable {
        Unreadable { at: if self.at.is_empty() { "/".to_owned() } else { self.at.clone() }, expected }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn absent_and_null_are_alike_and_other_types_are_named() {
        let object = json!({"null": null, "list": [{"port": 70000}], "text": "a", "number": -1});
        let root = Node::root(&object);
        for key in ["null", "none"] {
            let node = root.member(key).unwrap();
            assert_eq!(node.object(), Ok(None));
            assert_eq!(node.text(), Ok(None));
            assert_eq!(node.port(), Ok(None));
            assert_eq!(node.is_true(), Ok(false));
            assert_eq!(node.items().unwrap().len(), 0);
            assert!(node.member("deeper").unwrap().raw().is_none());
        }
        let port = root.member("list").unwrap().items().unwrap()[0].member("port").unwrap();
        assert_eq!(port.port().unwrap_err().to_string(), "/list/0/port: expected a port from 1 to 65535");
        assert!(root.member("text").unwrap().member("deeper").is_err());
        assert!(root.member("number").unwrap().whole_number().is_err());
        assert_eq!(root.unreadable("an object").at, "/");
    }
}
