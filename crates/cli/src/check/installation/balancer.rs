//! Whether a balancer leads, and pods report to it.

use super::super::finding::{Finding, FindingId};
use super::{InstallationFacts, Reports, ready};

/// So many workloads are named.
const MOST: usize = 5;

/// Returns what there is to say about the balancer; nothing if there is none.
pub(super) fn balancer(facts: &InstallationFacts) -> Vec<Finding> {
    let reports = facts.balancer.as_ref().and_then(|_| reports(&facts.balanced));
    replicas(facts).into_iter().chain(reports).collect()
}

fn reports(balanced: &[Reports]) -> Option<Finding> {
    let missing: Vec<&Reports> = balanced.iter().filter(|of| of.reporting < of.settled).collect();
    let pods: usize = missing.iter().map(|of| of.settled.saturating_sub(of.reporting)).sum();
    let lines = missing.iter().take(MOST).map(|of| {
        let consequence = if of.is_withheld { ": none is instructed" } else { "" };
        format!("{}: {} of {} report{consequence}", of.workload, of.reporting, of.settled)
    });
    let finding = FindingId::BalancerReports
        .says(format!("{pods} pods of {} workloads do not report to the balancer", missing.len()))
        .fix("let network policies admit the balancer to port 15211 of the pods (docs/TROUBLESHOOTING.md)");
    let finding = lines.fold(finding, Finding::detail);
    let is_withheld = missing.iter().any(|of| of.is_withheld);
    (pods > 0).then(|| if is_withheld { finding } else { finding.lowered() })
}

fn replicas(facts: &InstallationFacts) -> Option<Finding> {
    let balancer = facts.balancer.as_ref()?;
    let (ready, wanted) = ready(balancer);
    let namespace = balancer.metadata.namespace.as_deref().unwrap_or_default();
    let pods = format!("kubectl --namespace {namespace} logs --selector app.kubernetes.io/component=balancer");
    if ready == 0 && wanted > 0 {
        return Some(
            FindingId::BalancerReplicas.says(format!("0 of {wanted} replicas of the balancer are ready")).command(pods),
        );
    }
    match leader(facts) {
        Some(holder) => Some(FindingId::Installed.says(format!("balancer: {ready} of {wanted} ready, {holder} leads"))),
        None => Some(
            FindingId::BalancerNoLeader
                .says("no replica of the balancer leads: balanced workloads fall back to their threshold")
                .command(pods),
        ),
    }
}

/// Returns who holds the Lease, if it was renewed in time.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of a few thousand years are far below 2⁵²")]
fn leader(facts: &InstallationFacts) -> Option<&str> {
    let spec = facts.lease.as_ref()?.spec.as_ref()?;
    let holder = spec.holder_identity.as_deref().filter(|holder| !holder.is_empty())?;
    let renewed = spec.renew_time.as_ref()?.0.as_millisecond() as f64 / 1000.0;
    // Clocks of two machines are compared: twice the time is granted.
    (facts.now - renewed <= 2.0 * f64::from(spec.lease_duration_seconds.unwrap_or(15))).then_some(holder)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::finding::Severity;
    use super::super::tests::{found, from};
    use super::*;

    fn with_lease(holder: &str, renewed: &str, ready: i32) -> Vec<FindingId> {
        let metadata = json!({"name": "balancer", "namespace": "evenkeel"});
        found(|facts| {
            facts.balancer =
                Some(from(json!({"metadata": metadata, "spec": {"replicas": 2}, "status": {"readyReplicas": ready}})));
            let spec = json!({"holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": 15});
            facts.lease = Some(from(json!({"metadata": metadata, "spec": spec})));
        })
    }

    #[test]
    fn missing_reports_of_pods_have_a_finding() {
        let found_of = |settled, reporting, is_withheld| {
            let finding =
                reports(&[Reports { workload: "shop/Deployment/web".to_owned(), settled, reporting, is_withheld }]);
            finding.map(|finding| (finding.id, finding.severity))
        };
        assert_eq!(found_of(4, 4, false), None);
        assert_eq!(found_of(4, 3, false), Some((FindingId::BalancerReports, Severity::Warning)));
        assert_eq!(found_of(4, 1, true), Some((FindingId::BalancerReports, Severity::Problem)));
    }

    #[test]
    fn a_missing_leader_or_replica_has_a_finding() {
        assert_eq!(with_lease("a", "2029-12-31T23:59:50.000000Z", 2), []);
        assert_eq!(with_lease("a", "2029-12-31T23:00:00.000000Z", 2), [FindingId::BalancerNoLeader]);
        assert_eq!(with_lease("", "2029-12-31T23:59:50.000000Z", 2), [FindingId::BalancerNoLeader]);
        assert_eq!(with_lease("a", "2029-12-31T23:59:50.000000Z", 0), [FindingId::BalancerReplicas]);
    }
}
