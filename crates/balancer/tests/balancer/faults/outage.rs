//! The API server is away. For how long a leader goes on, and when a watch is tried again, is tested beside the code.

use super::{count, sample};
use crate::running::{World, get, is, until_some};

#[tokio::test(flavor = "multi_thread")]
async fn without_the_api_server_the_leader_goes_on_and_leads_afterwards() {
    let mut world = World::with(30, &[30.0, 10.0]).await;
    let one = world.start("one");
    until_some(async || (count(&one, "leader").await == 1).then_some(())).await;
    let two = world.start("two");
    world.roll_out_keys(1).await;
    world.proxies[0].receives(is(20.0)).await;
    until_some(async || (get(&two, "/readyz").await.0 == 200).then_some(())).await;
    let transitions =
        |world: &World| world.api.written("leases", "evenkeel-balancer").unwrap()["spec"]["leaseTransitions"].clone();
    let before = transitions(&world);

    world.api.go_away();
    // One try a second: this is longer than a Lease is held.
    for balancer in [&one, &two] {
        let failed = count(balancer, "lease_failures_total").await;
        until_some(async || (count(balancer, "lease_failures_total").await >= failed + 6).then_some(())).await;
    }
    world.proxies[0].set_load(50.0);
    world.proxies[1].receives(is(30.0)).await;
    assert_eq!((count(&one, "leader").await, count(&two, "leader").await), (1, 0));

    // A pod that became ready meanwhile counts.
    world.add(32, 10.0).await;
    let keys = world.api.written("configmaps", "evenkeel-balancer-keys").unwrap()["data"]["keys"].clone();
    world.proxies[2].learn(keys.as_str().unwrap());
    let contact = "lease_contact_timestamp_seconds";
    let last = [sample(&one, contact).await, sample(&two, contact).await];
    world.api.come_back();
    world.proxies[2].receives(is(70.0 / 3.0)).await;
    for (balancer, last) in [&one, &two].into_iter().zip(&last) {
        until_some(async || (sample(balancer, contact).await != *last).then_some(())).await;
    }
    assert_eq!(transitions(&world), before, "nobody has taken the Lease over");
    assert_eq!((count(&one, "leader").await, count(&two, "leader").await), (1, 0));
}
