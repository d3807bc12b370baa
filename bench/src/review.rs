//! Reviews as API servers send them.

use axum::body::Bytes;
use serde_json::{Value, json};

/// The number of reviews in a cycle.
const CYCLE: usize = 200;
/// How many of them are updates, which have the old object, too.
const UPDATES: usize = 80;
/// The number of variables of a container: 15 KiB in all.
const TYPICAL: usize = 120;
/// The number of variables of the large object: 1 MiB in all, near the limit of etcd.
const LARGE: usize = 8_600;

/// Returns a cycle of two hundred reviews, in the order in which they are sent. The first has a large object.
pub(crate) fn cycle() -> Vec<Bytes> {
    let create = review("CREATE", &deployment(TYPICAL), &Value::Null);
    let update = review("UPDATE", &deployment(TYPICAL), &deployment(TYPICAL - 1));
    let large = review("CREATE", &deployment(LARGE), &Value::Null);
    let of = |index: usize| match index {
        0 => &large,
        // Two of five.
        other if other * UPDATES % CYCLE < UPDATES => &update,
        _ => &create,
    };
    (0..CYCLE).map(|index| of(index).clone()).collect()
}

fn review(operation: &str, object: &Value, old: &Value) -> Bytes {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": UID,
            "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
            "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
            "requestKind": {"group": "apps", "version": "v1", "kind": "Deployment"},
            "requestResource": {"group": "apps", "version": "v1", "resource": "deployments"},
            "name": "web",
            "namespace": "shop",
            "operation": operation,
            "userInfo": {"username": "deployer", "groups": ["system:authenticated"]},
            "object": object,
            "oldObject": old,
            "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    });
    review.to_string().into()
}

/// The uid of every review, which its response repeats.
pub(crate) const UID: &str = "705ab4f5-6393-11e8-b7cc-42010a800002";

/// Returns a Deployment with the annotation and with this number of variables in its container.
fn deployment(variables: usize) -> Value {
    let names = (0..variables).map(|number| format!("SETTING_NUMBER_{number}"));
    let env: Vec<Value> =
        names.clone().map(|name| json!({"name": name, "value": "https://setting.shop.svc.cluster.local"})).collect();
    let owned: serde_json::Map<String, Value> =
        names.map(|name| (format!("k:{{\"name\":\"{name}\"}}"), json!({}))).collect();
    let probe = json!({"httpGet": {"path": "/healthz", "port": "http", "scheme": "HTTP"}, "periodSeconds": 10});
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "labels": {"app": "web"},
            "annotations": {"evenkeel.dev/max-requests": "1000"},
            "managedFields": [{"manager": "deployer", "operation": "Apply", "fieldsType": "FieldsV1",
                "fieldsV1": {"f:spec": {"f:template": {"f:spec": {"f:containers": {"f:env": owned}}}}}}],
        },
        "spec": {
            "replicas": 4,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "containers": [{
                        "name": "web",
                        "image": "registry.shop.example/web:1.2.3",
                        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                        "env": env,
                        "readinessProbe": probe,
                        "livenessProbe": probe,
                        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
                    }],
                    "terminationGracePeriodSeconds": 30,
                },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_of_reviews_has_the_documented_sizes() {
        let sizes: Vec<usize> = cycle().iter().map(Bytes::len).collect();
        let count = |kib: std::ops::Range<usize>| sizes.iter().filter(|size| kib.contains(&(*size / 1024))).count();
        assert_eq!([count(14..17), count(28..32), count(990..1060)], [120, 79, 1], "{sizes:?}");
    }
}
