//! Whether pods follow the balancer.

use super::super::finding::{Finding, FindingId};
use super::{LivePod, rounded};

const STATE: &str = "evenkeel_proxy_balance_state";
const REFUSALS: &str = "evenkeel_proxy_balance_refusals_total";

/// Returns what there is to say about balancing; nothing if no proxy has the keys of a balancer.
pub(super) fn balance(pods: &[LivePod]) -> Option<Finding> {
    let readings = pods.iter().filter_map(|pod| Some((pod, pod.reading()?)));
    let states: Vec<(&LivePod, &str)> =
        readings.clone().filter_map(|(pod, reading)| Some((pod, reading.after.current(STATE, "state")?))).collect();
    let without: Vec<&(&LivePod, &str)> = states.iter().filter(|(_, state)| *state != "in_force").collect();
    if states.is_empty() {
        return None;
    }
    if without.is_empty() {
        let said = format!("balancing is in force in {0} of {0} pods", states.len());
        return Some(FindingId::BalancingInForce.says(said));
    }
    let said = format!("balancing is not in force in {} of {} pods", without.len(), states.len());
    let lines = without.iter().take(5).map(|(pod, state)| format!("{}: {state}", pod.name));
    let finding = lines.fold(FindingId::BalancingNotInForce.says(said), Finding::detail);
    let refused: f64 = readings.map(|(_, reading)| reading.grown(REFUSALS, &[])).sum();
    Some(if refused > 0.0 {
        finding
            .detail(format!("{} instructions were refused", rounded(refused)))
            .fix("restart the workload, so that it gets the current keys")
    } else if pods.len() < 2 {
        finding.detail("one pod alone needs no balancing")
    } else {
        finding.fix("see whether the balancer leads and reaches port 15211 of the pods: evenkeel check")
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::pod;
    use super::*;

    #[test]
    fn pods_whose_balancing_is_not_in_force_are_reported_with_the_reason() {
        let state = |state: &str| format!("evenkeel_proxy_balance_state{{state=\"{state}\"}} 1");
        let found = |states: &[&str]| {
            let pods: Vec<LivePod> = states.iter().map(|it| pod("a", &state(it), &state(it))).collect();
            balance(&pods).map(|finding| finding.id)
        };
        assert_eq!(found(&["in_force", "in_force"]), Some(FindingId::BalancingInForce));
        assert_eq!(found(&["in_force", "expired"]), Some(FindingId::BalancingNotInForce));
        assert_eq!(balance(&[pod("a", "", "")]), None);
    }
}
