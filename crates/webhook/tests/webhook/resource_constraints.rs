//! The limits and quotas of a namespace affect the patch.

use serde_json::json;

use crate::api_server::{ApiServer, Contents};
use crate::process::Process;
use crate::running::review_of_deployment;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resources_follow_the_limit_range_of_the_namespace() {
    let item = json!({
        "type": "Container",
        "min": {"cpu": "20m"}, "max": {"cpu": "500m"}, "maxLimitRequestRatio": {"cpu": "10"},
    });
    let limit_ranges = vec![json!({"metadata": {"name": "containers"}, "spec": {"limits": [item]}})];
    let cluster = ApiServer::start(Contents { limit_ranges, ..Contents::default() }).await;
    let webhook = Process::start(&cluster).await;
    let review = review_of_deployment(&json!({"evenkeel.dev/max-requests": "5"}));
    let response = webhook.review(review.to_string()).await;
    let fitted = "evenkeel: so that pods are admitted, the proxy's cpu is: request 20m, limit 200m";
    assert_eq!(response["warnings"], json!([fitted]), "{response}");
}
