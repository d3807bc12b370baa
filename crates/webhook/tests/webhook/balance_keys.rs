//! The public keys of a balancer reach the pods of workloads that ask for balancing.

use std::time::Duration;

use serde_json::{Value, json};

use crate::api_server::{ApiServer, Contents};
use crate::process::Process;
use crate::reviews::patch;
use crate::running::review_of_deployment;

/// Of RFC 8410 §10.1.
const KEY: &str = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
const TIMEOUT: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(50);

async fn review(webhook: &Process) -> Value {
    webhook.review(review_of_deployment(&json!({"evenkeel.dev/balance": "on"})).to_string()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn published_keys_are_injected() {
    let cluster = ApiServer::start(Contents { balance_keys: Some(KEY), ..Contents::default() }).await;
    let webhook = Process::start(&cluster).await;
    // The first reviews may come before the keys, and have a warning then.
    let without_warning = async {
        while let response = review(&webhook).await
            && response.get("warnings").is_some()
        {
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(TIMEOUT, without_warning).await.expect("the keys are known");
    let patch = serde_json::to_string(&patch(&review(&webhook).await)).unwrap();
    assert!(patch.contains(KEY) && patch.contains("Deployment/web"), "{patch}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_keys_a_balanced_workload_gets_a_warning() {
    let cluster = ApiServer::start(Contents::default()).await;
    let webhook = Process::start(&cluster).await;
    let warnings = review(&webhook).await["warnings"].to_string();
    assert!(warnings.contains("no balancer is installed"), "{warnings}");
}
