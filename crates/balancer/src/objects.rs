//! The parts of Pods and `EndpointSlice`s that the balancer reads.

use std::net::IpAddr;

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use projection::Rule;
use serde_json::Value;

use crate::planning::{Controller, Pod, Slice};

/// The bound of a uid's length. The API server's uids have 36 characters.
const UID: Rule = Rule::Scalar(64);
/// The most endpoints that an API server accepts in one slice.
const MOST_ENDPOINTS: usize = 1000;

/// The parts that are read of Pods: names, uid, addresses and readiness.
pub(crate) static POD: Rule = Rule::Answer(&[("metadata", &METADATA), ("status", &STATUS)]);
static METADATA: Rule = Rule::Metadata(&[
    ("uid", &Rule::Keep),
    ("deletionTimestamp", &Rule::Keep),
    ("ownerReferences", &Rule::Elements(16, &OWNER)),
]);
static OWNER: Rule = Rule::Members(
    &[("controller", &Rule::Scalar(8)), ("kind", &Rule::Scalar(63)), ("name", &Rule::Scalar(253))],
    &Rule::Drop,
);
static STATUS: Rule = Rule::Members(
    &[
        ("phase", &Rule::Scalar(16)),
        ("podIP", &Rule::Scalar(64)),
        ("hostIP", &Rule::Scalar(64)),
        ("conditions", &Rule::Elements(64, &CONDITION)),
    ],
    &Rule::Drop,
);
static CONDITION: Rule = Rule::Members(&[("type", &Rule::Scalar(64)), ("status", &Rule::Scalar(16))], &Rule::Drop);

/// The parts that are read of `EndpointSlice`s: the uids of pods, and whether they are ready. No address is read.
pub(crate) static SLICE: Rule = Rule::Answer(&[("endpoints", &Rule::Elements(MOST_ENDPOINTS, &ENDPOINT))]);
static ENDPOINT: Rule = Rule::Members(
    &[
        ("conditions", &Rule::Members(&[("ready", &Rule::Scalar(8))], &Rule::Drop)),
        ("targetRef", &Rule::Members(&[("kind", &Rule::Scalar(16)), ("uid", &UID)], &Rule::Drop)),
    ],
    &Rule::Drop,
);

/// Reads a Pod.
pub(crate) fn pod_of(object: &DynamicObject) -> Option<Pod> {
    let status = object.data.get("status").unwrap_or(&Value::Null);
    let text = |key| status.get(key).and_then(Value::as_str);
    let address = text("podIP").and_then(|address| address.parse::<IpAddr>().ok());
    // The address of a Pod that has ended may be reused; that of a Pod in its node's network is the node's.
    let is_its_own = object.metadata.deletion_timestamp.is_none()
        && !matches!(text("phase"), Some("Succeeded" | "Failed"))
        && text("hostIP") != text("podIP");
    let conditions = status.get("conditions").and_then(Value::as_array).into_iter().flatten();
    let is_true = |condition: &Value, kind| condition["type"] == kind && condition["status"] == "True";
    Some(Pod {
        uid: object.uid()?.into(),
        namespace: object.namespace()?.into(),
        name: object.name_any().into(),
        controller: object
            .owner_references()
            .iter()
            .find(|owner| owner.controller == Some(true))
            .map(|owner| Controller { kind: (*owner.kind).into(), name: (*owner.name).into() }),
        address: address.filter(|_| is_its_own),
        is_ready: is_its_own && { conditions }.any(|condition| is_true(condition, "Ready")),
    })
}

/// Reads an `EndpointSlice`. An endpoint without the condition `ready` counts as ready, as its API defines.
pub(crate) fn slice_of(object: &DynamicObject) -> Option<Slice> {
    let endpoints = object.data.get("endpoints").and_then(Value::as_array).into_iter().flatten();
    let ready = endpoints.filter(|endpoint| endpoint["conditions"]["ready"] != false).filter_map(|endpoint| {
        let target = &endpoint["targetRef"];
        target["uid"].as_str().filter(|_| target["kind"] == "Pod").map(Into::into)
    });
    Some(Slice { namespace: object.namespace()?.into(), name: object.name_any().into(), ready: ready.collect() })
}

#[cfg(test)]
mod tests {
    use projection::Projector;
    use serde_json::json;

    use super::*;

    fn read(rule: &'static Rule, object: &Value) -> DynamicObject {
        serde_json::from_slice(&Projector::project(rule, object.to_string().as_bytes())).unwrap()
    }

    fn pod(metadata: &Value, status: &Value) -> Pod {
        let mut object = json!({
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {"name": "web-1", "namespace": "shop", "uid": "u", "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "app", "env": [{"name": "A", "value": "x".repeat(1000)}]}]},
            "status": {
                "phase": "Running",
                "podIP": "10.0.0.7",
                "hostIP": "192.168.0.1",
                "conditions": [{"type": "Ready", "status": "True", "message": "x"}],
            },
        });
        for (key, value) in metadata.as_object().unwrap() {
            object["metadata"][key] = value.clone();
        }
        for (key, value) in status.as_object().unwrap() {
            object["status"][key] = value.clone();
        }
        pod_of(&read(&POD, &object)).unwrap()
    }

    #[test]
    fn a_pod_has_no_address_but_its_own() {
        let own = Some(IpAddr::from([10, 0, 0, 7]));
        let none = json!({});
        for (metadata, status, address, is_ready) in [
            (none.clone(), json!({}), own, true),
            (none.clone(), json!({"conditions": [{"type": "Ready", "status": "False"}]}), own, false),
            (none.clone(), json!({"conditions": null}), own, false),
            (none.clone(), json!({"phase": "Succeeded"}), None, false),
            (none.clone(), json!({"phase": "Failed"}), None, false),
            (none.clone(), json!({"hostIP": "10.0.0.7"}), None, false),
            (none.clone(), json!({"podIP": null}), None, true),
            (none.clone(), json!({"podIP": "example.com"}), None, true),
            (none.clone(), json!({"podIP": "fd00::7"}), Some("fd00::7".parse().unwrap()), true),
            (json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}), json!({}), None, false),
        ] {
            let read = pod(&metadata, &status);
            assert_eq!((read.address, read.is_ready), (address, is_ready), "{metadata} {status}");
            assert_eq!((&*read.uid, &*read.namespace, &*read.name), ("u", "shop", "web-1"));
        }
    }

    #[test]
    fn the_controller_of_a_pod_is_one_of_its_owners() {
        let owner = |name: &str, controller: Value| json!({"kind": "ReplicaSet", "apiVersion": "apps/v1", "name": name, "uid": "u", "controller": controller});
        for (owners, controller) in [
            (json!([owner("a", json!(false)), owner("b", json!(true))]), Some("b")),
            (json!([owner("a", json!(null))]), None),
            (json!([]), None),
            (json!(null), None),
        ] {
            let found = pod(&json!({"ownerReferences": owners}), &json!({})).controller;
            let name = found.as_ref().map(|controller| (&*controller.kind, &*controller.name));
            assert_eq!(name, controller.map(|name| ("ReplicaSet", name)), "{owners}");
        }
    }

    #[test]
    fn the_ready_pods_of_an_endpoint_slice_are_read() {
        let endpoint = |ready: Value, kind: &str, uid: &str| {
            json!({
                "addresses": ["169.254.169.254"],
                "conditions": {"ready": ready, "serving": true},
                "targetRef": {"kind": kind, "namespace": "bank", "name": "x", "uid": uid},
            })
        };
        let slice = json!({
            "kind": "EndpointSlice",
            "apiVersion": "discovery.k8s.io/v1",
            "metadata": {"name": "web-abc", "namespace": "shop", "uid": "s"},
            "addressType": "IPv4",
            "endpoints": [
                endpoint(json!(true), "Pod", "1"),
                endpoint(json!(null), "Pod", "2"),
                endpoint(json!(false), "Pod", "3"),
                endpoint(json!(true), "Node", "4"),
                {"addresses": ["10.0.0.1"]},
            ],
            "ports": [{"port": 80}],
        });
        let read = slice_of(&read(&SLICE, &slice)).unwrap();
        assert_eq!((&*read.namespace, &*read.name), ("shop", "web-abc"));
        assert_eq!(read.ready, ["1".into(), "2".into()]);
        assert!(!format!("{read:?}").contains("169.254"));
    }

    #[test]
    fn a_large_object_takes_little_memory() {
        let large = json!({
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {"name": "a", "namespace": "b", "uid": "c", "annotations": {"x": "y".repeat(200_000)}},
            "spec": {"x": "y".repeat(200_000)},
            "status": {"podIP": "1".repeat(10_000), "conditions": vec![json!({"type": "x".repeat(1000)}); 1000]},
        });
        let list =
            json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"continue": "x"}, "items": vec![large; 10]});
        let read = Projector::project(&POD, list.to_string().as_bytes());
        assert!(read.len() < 100_000, "{}", read.len());
    }

    #[test]
    fn a_full_page_of_the_largest_endpoint_slices_is_within_the_read_limit() {
        let endpoint = json!({
            "conditions": {"ready": false},
            "targetRef": {"kind": "Pod", "uid": "00000000-0000-0000-0000-000000000000"},
        });
        let slice = json!({
            "metadata": {"name": "a".repeat(253), "namespace": "a".repeat(63), "uid": "u", "resourceVersion": "1"},
            "endpoints": vec![endpoint; 1000],
        });
        let page = json!({"items": vec![slice; 16]});
        assert!(Projector::project(&SLICE, page.to_string().as_bytes()).len() < 2 << 20);
    }
}
