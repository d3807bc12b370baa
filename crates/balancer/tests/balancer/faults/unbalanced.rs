//! There is no balancer.

use test_support::Peer;

use super::real_pods::RealPods;
use crate::process::Balancer;
use crate::running::published_keys;

#[tokio::test(flavor = "multi_thread")]
async fn without_a_balancer_the_limit_is_in_force_and_a_metric_reports_it() {
    let mut pods = RealPods::none().await;
    let balancer = Balancer::start(pods.api.kubeconfig(), "one", settings::ADMIN_PORT);
    let keys = published_keys(&pods.api, 1).await;
    // It goes before it has given any instruction, as where it is uninstalled while workloads are annotated.
    balancer.kill();
    pods.add(&["web-1"], &keys).await;
    let mut peer = Peer::connect(pods.proxies["web-1"].address()).await.unwrap();
    for request in 1..=1000 {
        peer.send("GET / HTTP/1.1\r\nHost: web\r\n\r\n").await.unwrap();
        let head = peer.read_head().await.unwrap();
        peer.expect("ok").await.unwrap();
        assert_eq!(head.announces_close(), request == 1000, "{request}");
    }
    assert_eq!(pods.count("web-1", "balance_state{state=\"no_instruction\"}").await, 1);
    assert_eq!(pods.count("web-1", "balance_state{state=\"in_force\"}").await, 0);
}
