//! Two leaders at once.

use balancing::Refusal;
use settings::ADMIN_PORT;

use super::count;
use super::real_pods::RealPods;
use crate::api_server::ApiServer;
use crate::process::Balancer;
use crate::running::{published_keys, until_some};

/// Each has an API server of its own, as a replica has that alone is cut off and goes on.
#[tokio::test(flavor = "multi_thread")]
async fn two_leaders_at_once_send_consistent_instructions() {
    let mut pods = RealPods::none().await;
    let names = ["web-1", "web-2", "web-3"];
    let one = Balancer::start(pods.api.kubeconfig(), "one", ADMIN_PORT);
    let keys = published_keys(&pods.api, 1).await;
    pods.add(&names, &keys).await;
    pods.told_above(&names, 0).await;

    let other = ApiServer::start();
    other.copy(&pods.api, "secrets", "evenkeel-balancer-key");
    for name in names {
        other.copy(&pods.api, "pods", name);
    }
    other.copy(&pods.api, "endpointslices", "web-abc");
    let two = Balancer::start(other.kubeconfig(), "two", ADMIN_PORT);
    for balancer in [&two, &one] {
        let before = count(balancer, "instructions_total").await;
        until_some(async || (count(balancer, "instructions_total").await >= before + 3).then_some(())).await;
        assert_eq!(count(balancer, "leader").await, 1);
    }
    let told = pods.told_above(&names, 0).await;
    let told = pods.told_above(&names, told).await;
    one.kill();
    let told = pods.told_above(&names, told + 3000).await;
    let reports = pods.report(&names, |report| super::real_pods::sequence(report) >= told).await;
    assert!(reports.iter().all(|report| report.retired == 0), "level all the time: {reports:?}");
    for name in names {
        let others = [Refusal::Malformed, Refusal::BadSignature, Refusal::ForeignWorkload];
        assert_eq!(pods.refused(name, &others).await, 0, "{name}: the number alone may be old");
    }
}
