//! Whether the app listens where it is declared, and whether its clients pass through the proxy, by what the proxies
//! see of their pods' sockets. Proxies of earlier versions tell nothing of them.

use std::collections::{BTreeMap, BTreeSet};

use exposition::Metrics;

use super::super::finding::{Finding, FindingId};
use super::{LivePod, Reading, listed, rounded};

const LISTENING: &str = "evenkeel_proxy_app_listening";
const BYPASSING: &str = "evenkeel_proxy_connections_bypassing";
const OPEN: &str = "evenkeel_proxy_connections_open";
const UNREACHABLE: &str = "evenkeel_proxy_app_unreachable_total";

/// Returns what there is to say about the sockets of pods.
pub(super) fn sockets(pods: &[LivePod]) -> Vec<Finding> {
    [not_listening(pods), bypassing(pods)].into_iter().flatten().collect()
}

/// Returns on which other ports the pod listens, while it does not on one of the app's.
pub(super) fn others(metrics: &Metrics) -> Option<String> {
    let of_app: BTreeSet<&str> = metrics.by_label(BYPASSING, "port").into_keys().collect();
    let others: Vec<&str> =
        metrics.by_label(LISTENING, "port").into_keys().filter(|port| !of_app.contains(port)).collect();
    (!others.is_empty()).then(|| format!("ports on which the pod listens instead: {}", listed(others)))
}

fn readings(pods: &[LivePod]) -> impl Iterator<Item = (&LivePod, &Reading)> {
    pods.iter().filter_map(|pod| Some((pod, pod.reading()?)))
}

/// An app that is not ready may be about to listen; one whose clients are refused has a finding of its own.
fn not_listening(pods: &[LivePod]) -> Option<Finding> {
    let mut ports: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut instead = None;
    for (pod, reading) in readings(pods).filter(|(pod, _)| pod.ready) {
        for (port, listens) in reading.after.by_label(LISTENING, "port") {
            let listened = reading.before.sum(LISTENING, &[("port", port)]);
            let is_refused = reading.grown(UNREACHABLE, &[("port", port)]) > 0.0;
            if listens + listened == 0.0 && !is_refused {
                ports.entry(port).or_default().push(&pod.name);
                instead = instead.or_else(|| others(&reading.after));
            }
        }
    }
    let named = listed(ports.keys().copied());
    let pods: BTreeSet<&str> = ports.into_values().flatten().collect();
    (!pods.is_empty()).then(|| {
        let finding = FindingId::AppNotListening
            .says(format!("nothing listens on a port that the proxy intercepts ({named})"))
            .detail(format!("pods: {}", listed(pods)))
            .fix("correct containerPort, or leave the port out of evenkeel.dev/ports");
        instead.into_iter().fold(finding, Finding::detail)
    })
}

/// Probes of the kubelet are short, so the lesser of two readings counts.
fn bypassing(pods: &[LivePod]) -> Option<Finding> {
    let mut ports: BTreeMap<&str, f64> = BTreeMap::new();
    for (_, reading) in readings(pods) {
        for (port, after) in reading.after.by_label(BYPASSING, "port") {
            *ports.entry(port).or_default() += after.min(reading.before.sum(BYPASSING, &[("port", port)]));
        }
    }
    ports.retain(|_, past| *past > 0.0);
    let past: f64 = ports.values().sum();
    let through: f64 =
        ports.keys().map(|port| readings(pods).map(|(_, it)| it.after.sum(OPEN, &[("port", port)])).sum::<f64>()).sum();
    (past > 0.0).then(|| {
        let finding = FindingId::ConnectionsBypass
            .says(format!(
                "{} connections reach the app without the proxy, and {} through it (port {})",
                rounded(past),
                rounded(through),
                listed(ports.keys().copied())
            ))
            .fix("let Services and clients use the name of the port (docs/TROUBLESHOOTING.md)");
        if past > through { finding } else { finding.lowered() }
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::finding::Severity;
    use super::super::tests_support::{ids, pod};
    use super::*;

    fn listening(port: u16, address: &str) -> String {
        let listens = u8::from(address != "none");
        let of_app = format!("evenkeel_proxy_connections_bypassing{{port=\"{port}\"}} 0\n");
        format!("{of_app}evenkeel_proxy_app_listening{{port=\"{port}\",address=\"{address}\"}} {listens}\n")
    }

    fn past(past: u32, through: u32) -> String {
        format!(
            "evenkeel_proxy_connections_bypassing{{port=\"8080\"}} {past}\nevenkeel_proxy_connections_open{{port=\"8080\"}} {through}\n"
        )
    }

    #[test]
    fn a_declared_port_on_which_nothing_listens_has_a_finding() {
        let found = |before: &str, after: &str| sockets(&[pod("a", before, after)]);
        let (none, any) = (listening(8080, "none"), listening(8080, "any"));
        assert_eq!(ids(&found("", "")), [], "an earlier version");
        assert_eq!(ids(&found(&any, &any)), []);
        assert_eq!(ids(&found(&none, &any)), [], "it has just come");
        let instead = format!("{none}evenkeel_proxy_app_listening{{port=\"9999\",address=\"any\"}} 1\n");
        let findings = found(&none, &instead);
        assert_eq!(ids(&findings), [FindingId::AppNotListening]);
        assert!(findings[0].details.iter().any(|detail| detail.ends_with("instead: 9999")), "{findings:?}");
        let refused = format!("{none}evenkeel_proxy_app_unreachable_total{{reason=\"refused\",port=\"8080\"}} 1\n");
        assert_eq!(ids(&found(&none, &refused)), [], "said with what clients meet");
        let mut starting = pod("a", &none, &none);
        starting.ready = false;
        assert_eq!(ids(&sockets(&[starting])), []);
    }

    #[test]
    fn connections_that_bypass_the_proxy_have_a_finding() {
        let found = |before: &str, after: &str| sockets(&[pod("a", before, after), pod("b", "", "")]);
        assert_eq!(ids(&found(&past(0, 5), &past(0, 5))), []);
        assert_eq!(ids(&found(&past(0, 5), &past(3, 5))), [], "a probe");
        assert_eq!(ids(&found(&past(9, 5), &past(6, 5))), [FindingId::ConnectionsBypass]);
        assert_eq!(found(&past(9, 5), &past(6, 5))[0].severity, Severity::Problem);
        assert_eq!(found(&past(1, 5), &past(1, 5))[0].severity, Severity::Warning);
    }
}
