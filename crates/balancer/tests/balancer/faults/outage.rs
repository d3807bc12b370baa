//! The API server is unavailable. Unit tests hold for how long a leader then leads, and when a watch is retried.

use super::{count, sample};
use crate::running::{TestCluster, get, is, until_some};

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_survives_an_outage_of_the_api_server() {
    let mut cluster = TestCluster::with(30, &[30.0, 10.0]).await;
    let one = cluster.start("one");
    until_some(async || (count(&one, "leader").await == 1).then_some(())).await;
    let two = cluster.start("two");
    cluster.roll_out_keys(1).await;
    cluster.proxies[0].receives(is(20.0)).await;
    until_some(async || (get(&two, "/readyz").await.0 == 200).then_some(())).await;
    let transitions = |cluster: &TestCluster| {
        cluster.api.written("leases", "evenkeel-balancer").unwrap()["spec"]["leaseTransitions"].clone()
    };
    let before = transitions(&cluster);

    cluster.api.go_away();
    // One try a second: this is longer than a Lease is held.
    for balancer in [&one, &two] {
        let failed = count(balancer, "lease_failures_total").await;
        until_some(async || (count(balancer, "lease_failures_total").await >= failed + 6).then_some(())).await;
    }
    cluster.proxies[0].set_load(50.0);
    cluster.proxies[1].receives(is(30.0)).await;
    assert_eq!((count(&one, "leader").await, count(&two, "leader").await), (1, 0));

    // A pod that became ready meanwhile counts.
    cluster.add(32, 10.0).await;
    let keys = cluster.api.written("configmaps", "evenkeel-balancer-keys").unwrap()["data"]["keys"].clone();
    cluster.proxies[2].learn(keys.as_str().unwrap());
    let contact = "lease_contact_timestamp_seconds";
    let last = [sample(&one, contact).await, sample(&two, contact).await];
    cluster.api.come_back();
    cluster.proxies[2].receives(is(70.0 / 3.0)).await;
    for (balancer, last) in [&one, &two].into_iter().zip(&last) {
        until_some(async || (sample(balancer, contact).await != *last).then_some(())).await;
    }
    assert_eq!(transitions(&cluster), before, "nobody has taken the Lease over");
    assert_eq!((count(&one, "leader").await, count(&two, "leader").await), (1, 0));
}
