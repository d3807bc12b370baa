//! Promise: after a scale-out the new pods get their share of the load of clients that keep their connections alive.

use std::time::Duration;

use anyhow::ensure;
use e2e::{Figures, Fleet, Load, TestNamespace, Web, in_namespace, record};
use serde::Serialize;
use serde_json::json;
use tokio::join;

const LOAD: Load = Load { clients: 40, interval: Duration::from_millis(100) };
/// The requests of a client in two seconds.
const MAX_REQUESTS: &str = "20";
/// The time in which each client's old connections are retired.
const SETTLING: Duration = Duration::from_secs(5);
const WATCHED: Duration = Duration::from_secs(15);

/// The clients' figures after two pods have become four.
#[derive(Debug, Serialize)]
struct Outcome {
    /// Each pod's responses divided by the mean, the two new pods last.
    shares: Vec<(String, f64)>,
    figures: Figures,
}

#[tokio::test]
async fn new_pods_get_their_share_of_the_load() -> anyhow::Result<()> {
    let plain = Web::sample()?.replicas(2);
    let recycled = plain.clone().annotation("evenkeel.dev/max-requests", MAX_REQUESTS);
    let (without, with) = join!(
        in_namespace("scale-out", |namespace| scale_out(namespace, plain)),
        in_namespace("scale-out", |namespace| scale_out(namespace, recycled)),
    );
    let (without, with) = (without?, with?);
    println!(
        "2 to 4 pods without evenkeel, load / mean by pod, new pods last: {:.2?}\n  {}",
        without.shares, without.figures
    );
    println!(
        "2 to 4 pods with max-requests={MAX_REQUESTS}, load / mean by pod, new pods last: {:.2?}\n  {}",
        with.shares, with.figures
    );
    record("scale_out", &json!({ "without": without, "with": with }))?;

    for (pod, share) in &without.shares[2..] {
        ensure!(
            *share == 0.0,
            "without evenkeel the new pod {pod} has {share:.2} of the mean load, not none: the problem that this test shows is gone"
        );
    }
    for (pod, share) in &with.shares {
        ensure!(*share >= 0.5, "with evenkeel pod {pod} has {share:.2} of the mean load, expected at least 0.5");
    }
    ensure!(with.figures.failures() == 0, "requests failed");
    Ok(())
}

async fn scale_out(namespace: TestNamespace, web: Web) -> anyhow::Result<Outcome> {
    let address = namespace.deploy(&web).await?;
    let mut pods = namespace.pod_names().await?;
    let fleet = Fleet::start(address, LOAD);
    namespace.scale("web", 4).await?;
    let all = namespace.pod_names().await?;
    pods.extend(all.into_iter().filter(|pod| !pods.contains(pod)).collect::<Vec<_>>());

    tokio::time::sleep(SETTLING).await;
    let figures = fleet.observe(WATCHED).await;
    ensure!(fleet.finish().await.failures() == 0, "requests failed although no pod was removed");
    let shares = pods.into_iter().map(|pod| (pod.clone(), figures.share(&pod, 4))).collect();
    Ok(Outcome { shares, figures })
}
