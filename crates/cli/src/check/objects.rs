//! The objects that a check looks at, by their kinds.

use std::collections::BTreeMap;
use std::fmt;

use inject::{NamespaceFacts, ResourceConstraints, WorkloadKind};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::manifests::ItemKind;

type Texts = BTreeMap<String, String>;

/// The namespace of objects of which none is said, as kubectl has it.
const DEFAULT_NAMESPACE: &str = "default";

/// How an object is called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ObjectName {
    pub(crate) namespace: String,
    /// In lower case, as on the command line.
    pub(crate) kind: String,
    pub(crate) name: String,
}

/// A namespace, as far as it was given.
#[derive(Clone, Debug, Default)]
pub(crate) struct NamespaceObjects {
    pub(crate) labels: Texts,
    annotations: Texts,
    limit_ranges: Vec<Value>,
    quotas: Vec<Value>,
}

/// What a check looks at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Objects {
    /// Objects of the kinds that can be injected.
    pub(crate) workloads: Vec<(ObjectName, WorkloadKind, Value)>,
    pub(crate) services: Vec<(ObjectName, Service)>,
    pub(crate) autoscalers: Vec<(ObjectName, HorizontalPodAutoscaler)>,
    /// KEDA's `ScaledObject`.
    pub(crate) scalers_of_keda: Vec<(ObjectName, Value)>,
    pub(crate) policies: Vec<(ObjectName, NetworkPolicy)>,
    pub(crate) ingresses: Vec<(ObjectName, Ingress)>,
    pub(crate) namespaces: BTreeMap<String, NamespaceObjects>,
    /// Every object but workloads and Namespaces. Annotations of evenkeel have no effect on them.
    pub(crate) others: Vec<(ObjectName, Value)>,
}

impl ObjectName {
    /// Reads the name of an object.
    pub(crate) fn of(object: &Value) -> Self {
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
        // Control characters of a name never reach a terminal.
        let plain = |text: &str| text.escape_debug().to_string();
        Self {
            namespace: plain(text("/metadata/namespace").unwrap_or(DEFAULT_NAMESPACE)),
            kind: plain(&text("/kind").unwrap_or("object").to_lowercase()),
            name: plain(text("/metadata/name").or_else(|| text("/metadata/generateName")).unwrap_or("(no name)")),
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

impl Objects {
    /// Adds an object; of a list, what is in it. What does not have the form of its kind is no object of that kind.
    pub(crate) fn add(&mut self, object: Value) {
        if let Some(kind) = ItemKind::of_list(&object) {
            for mut item in object.get("items").and_then(Value::as_array).cloned().unwrap_or_default() {
                kind.add_to(&mut item);
                self.add(item);
            }
            return;
        }
        let text = |key| object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let name = ObjectName::of(&object);
        if let Some(kind) = WorkloadKind::of(&api_version, &kind) {
            self.workloads.push((name, kind, object));
            return;
        }
        let namespace = |objects: &mut Self| objects.namespaces.entry(name.namespace.clone()).or_default().clone();
        match kind.as_str() {
            "Namespace" if api_version == "v1" => {
                let of = self.namespaces.entry(name.name).or_default();
                of.labels = texts(&object, "/metadata/labels");
                of.annotations = texts(&object, "/metadata/annotations");
                return;
            }
            "Service" if api_version == "v1" => self.services.extend(typed(&name, &object)),
            "HorizontalPodAutoscaler" => self.autoscalers.extend(autoscaler(&name, &object)),
            "ScaledObject" => self.scalers_of_keda.push((name.clone(), object.clone())),
            "NetworkPolicy" => self.policies.extend(typed(&name, &object)),
            "Ingress" => self.ingresses.extend(typed(&name, &object)),
            "LimitRange" => {
                let mut of = namespace(self);
                of.limit_ranges.push(object.clone());
                self.namespaces.insert(name.namespace.clone(), of);
            }
            "ResourceQuota" => {
                let mut of = namespace(self);
                of.quotas.push(object.clone());
                self.namespaces.insert(name.namespace.clone(), of);
            }
            _ => {}
        }
        self.others.push((name, object));
    }
}

impl NamespaceObjects {
    /// Returns what injection has to know of it.
    pub(crate) fn facts(&self) -> NamespaceFacts {
        let mut facts = NamespaceFacts::of(&self.labels, self.annotations.clone());
        facts.constraints = ResourceConstraints::read(&self.limit_ranges, &self.quotas);
        facts
    }

    /// Returns whether a `LimitRange` gives a CPU request to containers that have none.
    pub(crate) fn defaults_cpu_requests(&self) -> bool {
        let items = self.limit_ranges.iter().filter_map(|range| range.pointer("/spec/limits")?.as_array()).flatten();
        let gives = |item: &Value| {
            ["/default/cpu", "/defaultRequest/cpu"].iter().any(|pointer| item.pointer(pointer).is_some())
        };
        items.into_iter().any(gives)
    }
}

/// Returns the strings of a map in an object.
pub(crate) fn texts(object: &Value, pointer: &str) -> Texts {
    let map = object.pointer(pointer).and_then(Value::as_object);
    let pairs = map.into_iter().flatten();
    pairs.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

fn typed<T: DeserializeOwned>(name: &ObjectName, object: &Value) -> Option<(ObjectName, T)> {
    T::deserialize(object).ok().map(|object| (name.clone(), object))
}

/// An autoscaler of whichever version: what the older one has beside is the target alone.
fn autoscaler(name: &ObjectName, object: &Value) -> Option<(ObjectName, HorizontalPodAutoscaler)> {
    let mut object = object.clone();
    object.as_object_mut()?.insert("apiVersion".to_owned(), "autoscaling/v2".into());
    typed(name, &object)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_are_sorted_by_kind() {
        let mut objects = Objects::default();
        let of = |api_version: &str, kind: &str| json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "web", "namespace": "shop"}});
        objects.add(
            json!({"apiVersion": "v1", "kind": "List", "items": [of("v1", "Service"), of("apps/v1", "Deployment")]}),
        );
        let of_list = json!({"metadata": {"name": "web", "namespace": "shop"}});
        objects.add(json!({"apiVersion": "apps/v1", "kind": "StatefulSetList", "items": [of_list]}));
        objects
            .add(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"a": "b"}}}));
        let mut range = of("v1", "LimitRange");
        range["spec"] = json!({"limits": [{"type": "Container", "defaultRequest": {"cpu": "100m"}}]});
        objects.add(range);
        objects.add(json!(null));
        assert_eq!(objects.workloads[0].0.to_string(), "deployment/web");
        assert_eq!(objects.workloads[1].0.to_string(), "statefulset/web");
        assert_eq!(objects.services.len(), 1);
        let shop = &objects.namespaces["shop"];
        assert!(shop.defaults_cpu_requests());
        assert_eq!(shop.labels["a"], "b");
    }
}
