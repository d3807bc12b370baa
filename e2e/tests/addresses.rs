//! Promise: connections are recycled at every address, IPv4 or IPv6, and whether the Service's `targetPort` is a name
//! or a number. With interception `named-port` it must be the name, as the documentation says: connections by number
//! bypass the proxy and are served.

use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use e2e::{Client, TestNamespace, Web, in_namespace, record};
use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

const MAX_REQUESTS: u32 = 5;
const REQUESTS: u32 = 50;

#[tokio::test]
async fn redirect_recycles_connections_at_every_address() -> anyhow::Result<()> {
    let seen = in_namespace("addresses", |namespace| ways(namespace, "redirect")).await?;
    ensure!(seen.iter().all(|way| way.recycled), "connections at some address bypass the proxy: {seen:?}");
    Ok(())
}

#[tokio::test]
async fn named_port_recycles_connections_by_target_port_name() -> anyhow::Result<()> {
    let seen = in_namespace("addresses", |namespace| ways(namespace, "named-port")).await?;
    for way in seen {
        ensure!(way.recycled == (way.target == "http"), "targetPort {} at {}", way.target, way.address);
    }
    Ok(())
}

/// How a client connected, and whether its connections were recycled.
#[derive(Debug)]
struct Way {
    target: Value,
    address: SocketAddr,
    recycled: bool,
}

async fn ways(namespace: TestNamespace, interception: &'static str) -> anyhow::Result<Vec<Way>> {
    let web = Web::sample()?.replicas(1).annotation("evenkeel.dev/interception", interception);
    let web = web.annotation("evenkeel.dev/max-requests", &MAX_REQUESTS.to_string());
    namespace.deploy(&web.annotation("evenkeel.dev/jitter", "0%")).await?;
    let mut ways = Vec::new();
    for target in [json!("http"), json!(8080)] {
        let addresses = namespace.expose(&service(&target)?).await?;
        if !addresses.iter().any(SocketAddr::is_ipv6) {
            println!("NOT TESTED: IPv6 (targetPort {target}): the Services of this cluster have none");
        }
        for address in addresses {
            namespace.settle(address).await?;
            let recycled = is_recycled(address).await?;
            println!("{interception}: targetPort {target} at {address}: recycled is {recycled}");
            ways.push(Way { target: target.clone(), address, recycled });
        }
    }
    let figures =
        |way: &Way| json!({"targetPort": way.target, "ipv6": way.address.is_ipv6(), "recycled": way.recycled});
    record(&format!("addresses-{interception}"), &ways.iter().map(figures).collect::<Vec<_>>())?;
    Ok(ways)
}

fn service(target: &Value) -> anyhow::Result<Service> {
    let name = if target.is_string() { "by-name" } else { "by-number" };
    let spec = json!({"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": target}]});
    serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).context("a Service")
}

/// Returns whether every connection ends at exactly the limit. Fails if only some do.
async fn is_recycled(address: SocketAddr) -> anyhow::Result<bool> {
    let mut client = Client::new(address);
    for request in 1..=REQUESTS {
        client.get().await.map_err(|failure| anyhow::anyhow!("request {request} at {address}: {failure}"))?;
    }
    let opened = client.opened();
    ensure!(
        [1, REQUESTS / MAX_REQUESTS].contains(&opened),
        "{opened} connections at {address}, expected 1 or {}",
        REQUESTS / MAX_REQUESTS
    );
    Ok(opened > 1)
}
