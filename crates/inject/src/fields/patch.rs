//! Computes the JSON patch between two states of a workload: few operations, each at the deepest path that differs.

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation, RemoveOperation, ReplaceOperation};
use serde_json::{Map, Value};

use crate::additions::entry::List;
use crate::fields::probe;
use crate::fields::{Fields, Place};
use crate::json::named::name;

/// Returns the patch from `now` to `want` for a workload whose pod template is at `template`.
///
/// Both have the same app containers.
pub(crate) fn between(template: &[&str], now: &Fields, want: &Fields) -> Patch {
    let mut operations = Operations { at: PointerBuf::from_tokens(template.iter().copied()), list: Vec::new() };
    // Native sidecars are in `initContainers`, whose list already has their fields.
    let apps = now.apps.iter().zip(&want.apps).filter(|(now, _)| now.place == Place::Container);
    for (index, (now, want)) in apps.enumerate() {
        let container = |key| ["spec".to_owned(), "containers".to_owned(), index.to_string(), String::from(key)];
        operations.same_items(&container("ports"), now.ports.as_ref(), want.ports.as_ref());
        operations.at_path(&container("lifecycle"), now.lifecycle.as_ref(), want.lifecycle.as_ref());
        for (kind, (now, want)) in probe::KINDS.iter().zip(now.probes.iter().zip(&want.probes)) {
            operations.at_path(&container(kind), now.as_ref(), want.as_ref());
        }
    }
    for list in List::ALL {
        operations.at_path(&["spec", list.field()], now.list(list), want.list(list));
    }
    operations.at_path(&["metadata"], now.metadata.as_ref(), want.metadata.as_ref());
    Patch(operations.list)
}

/// The operations so far, and the path that is compared.
struct Operations {
    at: PointerBuf,
    list: Vec<PatchOperation>,
}

impl Operations {
    fn at_path<T: AsRef<str>>(&mut self, tokens: &[T], now: Option<&Value>, want: Option<&Value>) {
        for token in tokens {
            self.at.push_back(token.as_ref());
        }
        self.compare(now, want);
        for _ in tokens {
            self.at.pop_back();
        }
    }

    /// Compares two lists with the same entries in the same order.
    fn same_items(&mut self, tokens: &[String], now: Option<&Value>, want: Option<&Value>) {
        let items = |list: Option<&'_ Value>| list.and_then(Value::as_array).cloned().unwrap_or_default();
        for (index, (now, want)) in items(now).iter().zip(&items(want)).enumerate() {
            let path: Vec<String> = tokens.iter().cloned().chain([index.to_string()]).collect();
            self.at_path(&path, Some(now), Some(want));
        }
    }

    fn compare(&mut self, now: Option<&Value>, want: Option<&Value>) {
        match (now, want) {
            (None, None) => {}
            (None, Some(want)) => self.add(want),
            (Some(_), None) => self.remove(),
            (Some(now), Some(want)) if now == want => {}
            (Some(Value::Object(now)), Some(Value::Object(want))) if !replaces_keys(now, want) => {
                self.members(now, want);
            }
            (Some(Value::Array(now)), Some(Value::Array(want))) => self.items(now, want),
            (Some(_), Some(want)) => self.replace(want),
        }
    }

    fn members(&mut self, now: &Map<String, Value>, want: &Map<String, Value>) {
        for (key, now) in now.iter().filter(|(key, _)| !want.contains_key(*key)) {
            self.at_path(&[key], Some(now), None);
        }
        for (key, want) in want {
            self.at_path(&[key], now.get(key), Some(want));
        }
    }

    /// Entries with names are added and removed one by one, other entries only at the end. Anything else, such as
    /// another order, replaces the list.
    fn items(&mut self, now: &[Value], want: &[Value]) {
        let named = now.iter().chain(want).all(|entry| name(entry).is_some());
        let stays = |entry: &Value| !named || want.iter().any(|other| name(other) == name(entry));
        let kept: Vec<usize> = (0..now.len()).filter(|index| stays(&now[*index])).collect();
        if kept.len() > want.len() || named && !are_in_order(now, want, &kept) {
            return self.replace(&Value::Array(want.to_vec()));
        }
        for index in (0..now.len()).rev().filter(|index| !kept.contains(index)) {
            self.at_path(&[index.to_string()], Some(&now[index]), None);
        }
        for (place, (index, want)) in kept.iter().zip(want).enumerate() {
            self.at_path(&[place.to_string()], Some(&now[*index]), Some(want));
        }
        for want in &want[kept.len()..] {
            self.at_path(&["-"], None, Some(want));
        }
    }

    fn add(&mut self, value: &Value) {
        self.list.push(PatchOperation::Add(AddOperation { path: self.at.clone(), value: value.clone() }));
    }

    fn replace(&mut self, value: &Value) {
        self.list.push(PatchOperation::Replace(ReplaceOperation { path: self.at.clone(), value: value.clone() }));
    }

    fn remove(&mut self) {
        self.list.push(PatchOperation::Remove(RemoveOperation { path: self.at.clone() }));
    }
}

/// Returns whether a key is removed while another is added. Replacing such an object as a whole keeps the order of its
/// keys.
fn replaces_keys(now: &Map<String, Value>, want: &Map<String, Value>) -> bool {
    now.keys().any(|key| !want.contains_key(key)) && want.keys().any(|key| !now.contains_key(key))
}

/// Returns whether the kept entries come first in `want`, in their present order.
fn are_in_order(now: &[Value], want: &[Value], kept: &[usize]) -> bool {
    kept.iter().zip(want).all(|(index, want)| now.get(*index).and_then(name) == name(want))
}
