//! Services by namespace and name, within a bound on their memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem;
use std::sync::Arc;

use inject::Service;
use tracing::warn;

/// In bytes: some 10,000 Services. Tenants decide how many there are.
const CAPACITY: usize = 4 << 20;
/// Bytes that an entry takes beside its text, and that each of its labels and ports takes.
const ENTRY: usize = 256;
const PART: usize = 64;

/// The known Services.
#[derive(Debug, Default)]
pub(super) struct Index {
    namespaces: HashMap<String, BTreeMap<String, Arc<Service>>>,
    bytes: usize,
    /// While all Services are listed again: those that are not listed yet.
    unlisted: BTreeSet<(String, String)>,
    /// Whether the log says that the capacity is reached.
    is_full: bool,
}

impl Index {
    pub(super) fn of(&self, namespace: &str) -> Vec<Arc<Service>> {
        self.namespaces.get(namespace).into_iter().flat_map(BTreeMap::values).cloned().collect()
    }

    /// A list of all Services begins.
    pub(super) fn list_begins(&mut self) {
        let names = |(namespace, services): (&String, &BTreeMap<String, Arc<Service>>)| {
            let namespace = namespace.clone();
            services.keys().map(move |name| (namespace.clone(), name.clone())).collect::<Vec<_>>()
        };
        self.unlisted = self.namespaces.iter().flat_map(names).collect();
    }

    /// The list is complete. Removes Services that are not in it, and returns their namespaces.
    pub(super) fn list_ends(&mut self) -> BTreeSet<String> {
        let gone = mem::take(&mut self.unlisted);
        for (namespace, name) in &gone {
            self.remove(namespace, name);
        }
        gone.into_iter().map(|(namespace, _)| namespace).collect()
    }

    /// Inserts a Service, or replaces the one with its name. Returns whether the index has changed.
    pub(super) fn insert(&mut self, namespace: &str, service: Service) -> bool {
        let name = service.name.clone();
        let known = self.namespaces.get(namespace).and_then(|services| services.get(&name));
        if known.is_some_and(|known| **known == service) {
            self.unlisted.remove(&(namespace.to_owned(), name));
            return false;
        }
        let is_replaced = self.remove(namespace, &name);
        let bytes = size(&service);
        if self.bytes + bytes > CAPACITY {
            if !mem::replace(&mut self.is_full, true) {
                warn!(most_bytes = CAPACITY, "too many Services to keep in memory; some are not checked");
            }
            return is_replaced;
        }
        self.bytes += bytes;
        self.namespaces.entry(namespace.to_owned()).or_default().insert(name, Arc::new(service));
        true
    }

    /// Removes a Service, and returns whether it existed.
    pub(super) fn remove(&mut self, namespace: &str, name: &str) -> bool {
        self.unlisted.remove(&(namespace.to_owned(), name.to_owned()));
        let Some(services) = self.namespaces.get_mut(namespace) else { return false };
        let Some(service) = services.remove(name) else { return false };
        self.bytes -= size(&service);
        if services.is_empty() {
            self.namespaces.remove(namespace);
        }
        true
    }
}

/// Returns about as many bytes as an entry takes.
fn size(service: &Service) -> usize {
    ENTRY + service.text_len() + service.name.len() + PART * service.parts()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service(name: &str, port: u16) -> Service {
        Service::read(name, &json!({"selector": {"app": name}, "ports": [{"port": port}]})).unwrap()
    }

    #[test]
    fn services_that_are_not_listed_again_are_removed() {
        let mut index = Index::default();
        for name in ["stays", "changes", "goes"] {
            assert!(index.insert("shop", service(name, 80)));
        }
        assert!(index.insert("other", service("goes", 80)));
        index.list_begins();
        assert!(!index.insert("shop", service("stays", 80)));
        assert!(index.insert("shop", service("changes", 81)));
        assert_eq!(index.list_ends(), ["other".to_owned(), "shop".to_owned()].into());
        assert_eq!(index.of("shop").iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["changes", "stays"]);
        assert_eq!(index.of("other"), []);
        assert!(index.remove("shop", "stays") && !index.remove("shop", "stays"));
        assert!(index.remove("shop", "changes"));
        assert_eq!((index.bytes, index.namespaces.len()), (0, 0));
    }

    #[test]
    fn the_memory_for_services_is_bounded() {
        let mut index = Index::default();
        for number in 0..2 * CAPACITY / ENTRY {
            index.insert("shop", service(&number.to_string(), 80));
            assert!(index.bytes <= CAPACITY);
        }
        assert!(index.of("shop").len() > 8_000, "{}", index.of("shop").len());
        assert!(index.insert("shop", service("7", 81)), "a known Service can change");
    }
}
