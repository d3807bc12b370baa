//! Faults around a balancer, each with the real program. docs/BALANCING.md names these tests, and what the user sees.

mod clocks;
mod leaders;
mod nonsense;
mod outage;
mod real_pods;
mod rotation;
mod silence;
mod tenants;
mod unbalanced;

use crate::process::Balancer;
use crate::running::get;

/// Returns the value of a sample, such as `reports_total{result="late"}`, of a balancer.
async fn sample(balancer: &Balancer, sample: &str) -> String {
    let (_, metrics) = get(balancer, "/metrics").await;
    let sample = format!("evenkeel_balancer_{sample} ");
    let value = metrics.lines().find_map(|line| line.strip_prefix(&sample));
    value.unwrap_or_else(|| panic!("{sample} is not in {metrics}")).to_owned()
}

/// Returns the value of a counter, or of a gauge of whole numbers.
async fn count(balancer: &Balancer, name: &str) -> u64 {
    sample(balancer, name).await.parse().unwrap()
}
