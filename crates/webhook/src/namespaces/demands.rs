//! What a namespace demands of the resources of its pods: its `LimitRange`s and `ResourceQuota`s.

use inject::ResourceConstraints;
use kube::Client;
use kube::api::ListParams;
use kube::core::Request;
use serde_json::Value;
use tracing::debug;

use projection::Rule;

/// A namespace has one or two of each. Who makes more, to keep one from being seen, has pods refused that are his own.
const MOST: u32 = 32;
/// From here on a status tells that the API server cannot answer now, not that it does not want to.
const SERVER_ERROR: u16 = 500;

/// What is read of lists of both kinds. Whoever may write one decides how large it is.
pub(crate) static DEMANDS: Rule =
    Rule::Members(&[("items", &Rule::Elements(MOST as usize, &Rule::Members(PARTS, &Rule::Drop)))], &Rule::Drop);
const PARTS: &[(&str, &Rule)] = &[("spec", &SPEC), ("status", &Rule::Members(&[("used", &AMOUNTS)], &Rule::Drop))];
static SPEC: Rule = Rule::Members(
    &[
        ("limits", &Rule::Elements(32, &LIMITS)),
        ("hard", &AMOUNTS),
        ("scopes", &Rule::Elements(16, &WORD)),
        ("scopeSelector", &Rule::Members(&[("matchExpressions", &Rule::Elements(16, &SCOPE))], &Rule::Drop)),
    ],
    &Rule::Drop,
);
static LIMITS: Rule = Rule::Members(
    &[
        ("type", &WORD),
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
        ("cpu", &WORD),
        ("memory", &WORD),
        ("requests.cpu", &WORD),
        ("requests.memory", &WORD),
        ("limits.cpu", &WORD),
        ("limits.memory", &WORD),
    ],
    &Rule::Drop,
);
static SCOPE: Rule = Rule::Members(&[("scopeName", &WORD)], &Rule::Drop);
static WORD: Rule = Rule::Scalar(64);

/// Reads the demands of `namespace`. It needs `list` on both kinds; where that is refused, nothing is demanded. The client
/// reads [`DEMANDS`].
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
        // A right that is missing, as while an upgrade is under way, must not hide the rest of what is known.
        Err(kube::Error::Api(status)) if status.code < SERVER_ERROR => {
            debug!(namespace, plural, status.message, "taken for none");
            Ok(Value::Null)
        }
        Err(error) if projection::is_too_large(&error) => {
            debug!(namespace, plural, "larger than what is read, and taken for none");
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
        serde_json::from_slice(&Projector::project(&DEMANDS, list.to_string().as_bytes())).unwrap()
    }

    #[test]
    fn everything_that_counts_is_read() {
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
    fn nobody_fills_the_memory_with_them() {
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
