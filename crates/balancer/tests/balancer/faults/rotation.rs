//! A rotation of keys, with proxies that know one key and proxies that know both.

use balancing::Refusal;
use settings::ADMIN_PORT;

use super::real_pods::RealPods;
use crate::process::Balancer;
use crate::running::{published_keys, rotate};

/// In milliseconds of the leader's clock, of which the numbers of instructions are: longer than it waits for the
/// reports of all pods, and looks at its keys again.
const WOULD_HAVE_ROTATED: u64 = 32_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_waits_for_the_last_pod_that_knows_only_the_first_key() {
    let mut pods = RealPods::none().await;
    let _balancer = Balancer::start(pods.api.kubeconfig(), "one", ADMIN_PORT);
    let first = published_keys(&pods.api, 1).await;
    pods.add(&["web-1", "web-2"], &first).await;
    let begun = pods.told_above(&["web-1", "web-2"], 0).await;
    let second = rotate(&pods.api);
    let both = published_keys(&pods.api, 2).await;
    assert_eq!(both, format!("{first},{second}"));
    pods.add(&["web-3", "web-4"], &both).await;

    let all = ["web-1", "web-2", "web-3", "web-4"];
    pods.told_above(&all, begun + WOULD_HAVE_ROTATED).await;
    assert_eq!(published_keys(&pods.api, 2).await, both);
    for name in all {
        assert_eq!(pods.refused(name, Refusal::ALL).await, 0, "{name}");
    }

    pods.remove("web-1");
    pods.remove("web-2");
    assert_eq!(published_keys(&pods.api, 1).await, second);
    let told = pods.told_above(&all[2..], 0).await;
    // One may have been on its way.
    let told = pods.told_above(&all[2..], told).await;
    pods.told_above(&all[2..], told).await;
    for name in &all[2..] {
        assert_eq!(pods.refused(name, Refusal::ALL).await, 0, "{name}");
    }
}
