//! The constraints of a namespace on the resources of its pods: its `LimitRange`s and `ResourceQuota`s.

use inject::ResourceConstraints;
use kube::Client;
use kube::api::ListParams;
use kube::core::Request;
use serde_json::Value;
use tracing::debug;

use projection::Rule;

/// Objects of each kind that are read. Namespaces have one or two of each; further ones are ignored, which affects pods
/// of that namespace alone.
const MOST: u32 = 32;
/// The first status code that means a failure of the API server instead of a refusal.
const SERVER_ERROR: u16 = 500;

/// The parts that are read of lists of both kinds. Tenants decide how large they are.
pub(crate) static RESOURCE_CONSTRAINTS: Rule =
    Rule::Members(&[("items", &Rule::Elements(MOST as usize, &Rule::Members(PARTS, &Rule::Drop)))], &Rule::Drop);
const PARTS: &[(&str, &Rule)] = &[("spec", &SPEC), ("status", &Rule::Members(&[("used", &AMOUNTS)], &Rule::Drop))];
static SPEC: Rule = Rule::Members(
    &[
        ("limits", &Rule::Elements(32, &LIMITS)),
        ("hard", &AMOUNTS),
        ("scopes", &Rule::Elements(16, &NAME)),
        ("scopeSelector", &Rule::Members(&[("matchExpressions", &Rule::Elements(16, &SCOPE))], &Rule::Drop)),
    ],
    &Rule::Drop,
);
static LIMITS: Rule = Rule::Members(
    &[
        ("type", &NAME),
        ("min", &AMOUNTS),
        ("max", &AMOUNTS),
        ("default", &AMOUNTS),
        ("defaultRequest", &AMOUNTS),
        ("maxLimitRequestRatio", &AMOUNTS),
    ],
    &Rule::Drop,
);
static AMOUNTS: Rule = Rule::Members(
    &[
        ("cpu", &NAME),
        ("memory", &NAME),
        ("requests.cpu", &NAME),
        ("requests.memory", &NAME),
        ("limits.cpu", &NAME),
        ("limits.memory", &NAME),
    ],
    &Rule::Drop,
);
static SCOPE: Rule = Rule::Members(&[("scopeName", &NAME)], &Rule::Drop);
static NAME: Rule = Rule::Scalar(64);

/// Returns the constraints of `namespace`. It needs `list` on both kinds; a kind that may not be listed counts as
/// absent. The client reads the parts in [`RESOURCE_CONSTRAINTS`].
pub(super) async fn read(client: &Client, namespace: &str) -> Result<ResourceConstraints, String> {
    let lists = tokio::try_join!(list(client, namespace, "limitranges"), list(client, namespace, "resourcequotas"));
    let (limit_ranges, quotas) = lists?;
    Ok(ResourceConstraints::read(items(&limit_ranges), items(&quotas)))
}

async fn list(client: &Client, namespace: &str, plural: &str) -> Result<Value, String> {
    let path = format!("/api/v1/namespaces/{namespace}/{plural}");
    let request = Request::new(path).list(&ListParams::default().limit(MOST)).map_err(|error| error.to_string())?;
    match client.request(request).await {
        Ok(list) => Ok(list),
        // A missing right, as during an upgrade, must not hide the other facts about the namespace.
        Err(kube::Error::Api(status)) if status.code < SERVER_ERROR => {
            debug!(namespace, plural, status.message, "the list is refused and counts as empty");
            Ok(Value::Null)
        }
        Err(error) if projection::is_too_large(&error) => {
            debug!(namespace, plural, "the list is too large and counts as empty");
            Ok(Value::Null)
        }
        Err(error) => Err(error.to_string()),
    }
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.get("items").and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use projection::Projector;

    fn projected(list: &Value) -> Value {
        serde_json::from_slice(&Projector::project(&RESOURCE_CONSTRAINTS, list.to_string().as_bytes())).unwrap()
    }

    #[test]
    fn limit_ranges_and_quotas_are_read() {
        let limits = json!({"spec": {"limits": [{
            "type": "Container", "min": {"cpu": "20m"}, "max": {"cpu": "1", "memory": "1Gi"}, "default": {"cpu": "500m"},
            "defaultRequest": {"cpu": "100m"}, "maxLimitRequestRatio": {"cpu": "10"},
        }]}});
        let quota = json!({
            "spec": {
                "hard": {"cpu": "4", "limits.memory": "8Gi"},
                "scopes": ["NotTerminating"],
                "scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass"}]},
            },
            "status": {"used": {"limits.memory": "1Gi"}},
        });
        let list = json!({"items": [limits, quota]});
        assert_eq!(projected(&list), list);
        assert_ne!(ResourceConstraints::read(items(&list), items(&list)), ResourceConstraints::default());
    }

    #[test]
    fn large_objects_take_little_memory() {
        let limits: Vec<Value> =
            (0..10_000).map(|n| json!({"type": "Container", "max": {format!("x{n}"): "1"}})).collect();
        let object = json!({
            "metadata": {"annotations": {"a": "x".repeat(100_000)}},
            "spec": {"limits": limits, "hard": {"cpu": "9".repeat(100_000), "x": "1"}},
        });
        let list = json!({"items": vec![object; 100]});
        let read = projected(&list);
        assert!(read.to_string().len() < 64_000, "{}", read.to_string().len());
    }
}
