//! Errors of clients, the app and the proxy, by the proxies' counters.

use std::collections::BTreeMap;

use settings::Annotation;

use super::super::finding::{Finding, FindingId};
use super::super::workload::Workload;
use super::{LivePod, Reading, listed, of_clients, rounded, sockets};

const UNREACHABLE: &str = "evenkeel_proxy_app_unreachable_total";
const BROKEN: &str = "evenkeel_proxy_exchanges_broken_total";
const RETIRED_BROKEN: &str = "evenkeel_proxy_retired_exchanges_broken_total";
const FAULTS: &str = "evenkeel_proxy_faults_total";
const REQUESTS: &str = "evenkeel_proxy_requests_total";
const TUNNELS: &str = "evenkeel_proxy_tunnels_total";
const EXPIRY: &str = "evenkeel_proxy_certificate_expiry_timestamp_seconds";
const OPENED: &str = "evenkeel_proxy_connections_opened_total";
/// The share of TLS connections from which a port counts as one for TLS.
const MANY_TUNNELS: f64 = 0.5;
/// A refused request in this many or fewer is a finding; rarer ones may come from scanners.
const FEW_REQUESTS: f64 = 100.0;

/// Returns what there is to say about errors.
pub(super) fn errors(workload: &Workload, pods: &[LivePod]) -> Vec<Finding> {
    let found = [
        unreachable(workload, pods),
        app_faults(workload, pods),
        breaks_off(pods),
        client_faults(pods),
        certificate(workload, pods).or_else(|| tls(workload, pods)),
    ];
    found.into_iter().flatten().collect()
}

fn readings(pods: &[LivePod]) -> impl Iterator<Item = (&LivePod, &Reading)> {
    pods.iter().filter_map(|pod| Some((pod, pod.reading()?)))
}

/// An app that is starting refuses connections, too, so earlier counts matter only while the pod is not ready.
fn unreachable(workload: &Workload, pods: &[LivePod]) -> Option<Finding> {
    let counted = |reading: &Reading, ready: bool| {
        let grown = reading.grown(UNREACHABLE, &[]);
        if ready || grown > 0.0 { grown } else { reading.after.sum(UNREACHABLE, &[]) }
    };
    let affected: Vec<(&LivePod, &Reading)> =
        readings(pods).filter(|(pod, reading)| counted(reading, pod.ready) > 0.0).collect();
    let (_, first) = affected.first()?;
    let reasons: Vec<&str> = first
        .after
        .by_label(UNREACHABLE, "reason")
        .into_iter()
        .filter(|(_, n)| *n > 0.0)
        .map(|(reason, _)| reason)
        .collect();
    let count: f64 = affected.iter().map(|(pod, reading)| counted(reading, pod.ready)).sum();
    let ports = ports(workload, first, UNREACHABLE);
    let instead = sockets::others(&first.after);
    let finding = FindingId::AppUnreachable
        .says(format!("the app does not accept connections on a port to which the proxy connects ({ports})"))
        .detail(format!("{} connections: {}", rounded(count), reasons.join(", ")))
        .detail(format!("pods: {}", listed(affected.iter().map(|(pod, _)| pod.name.as_str()))))
        .detail("the kubelet sees \"connection reset\", because its probes pass through the proxy")
        .fix("let the app listen where containerPort says, or correct containerPort");
    Some(instead.into_iter().fold(finding, Finding::detail))
}

fn app_faults(workload: &Workload, pods: &[LivePod]) -> Option<Finding> {
    let app = [("side", "app")];
    let count: f64 = readings(pods).map(|(_, reading)| reading.after.sum(FAULTS, &app)).sum();
    let grown: f64 = readings(pods).map(|(_, reading)| reading.grown(FAULTS, &app)).sum();
    if count == 0.0 {
        return None;
    }
    let mut reasons: BTreeMap<&str, f64> = BTreeMap::new();
    for (_, reading) in readings(pods) {
        for reason in reading.after.by_label(FAULTS, "reason").into_keys() {
            let of_app = reading.after.sum(FAULTS, &[("side", "app"), ("reason", reason)]);
            if of_app > 0.0 {
                *reasons.entry(reason).or_default() += of_app;
            }
        }
    }
    let reasons: Vec<String> = reasons.iter().map(|(reason, count)| format!("{reason} {}", rounded(*count))).collect();
    let said = format!("{} responses of the app were not forwarded: clients get 502 or a reset", rounded(count));
    let finding = FindingId::AppFault
        .says(said)
        .detail(format!("by reason: {}", reasons.join(", ")))
        .detail(format!("{} of them in the last seconds", rounded(grown)))
        .fix("repair the app's HTTP, or make the port opaque")
        .command(format!(
            "kubectl annotate {} {} {}={}",
            workload.name,
            workload.in_namespace(),
            Annotation::OpaquePorts,
            readings(pods).map(|(_, reading)| ports(workload, reading, FAULTS)).next().unwrap_or_default()
        ));
    Some(if grown > 0.0 { finding } else { finding.lowered() })
}

/// Returns the ports that a metric is about; of proxies that do not say, all that they take.
fn ports(workload: &Workload, reading: &Reading, name: &str) -> String {
    let told = reading.after.by_label(name, "port").into_iter().filter(|(_, count)| *count > 0.0);
    let told: Vec<String> = told.map(|(port, _)| port.to_owned()).collect();
    if !told.is_empty() {
        return told.join(",");
    }
    let taken = workload.report().into_iter().flat_map(|report| &report.ports).map(u16::to_string);
    taken.collect::<Vec<String>>().join(",")
}

/// Returns the number of exchanges that the app broke off, from the counters that `of` reads. A refused response also
/// ends its exchange and is counted there, but it has [a finding of its own](app_faults). An unsolicited response
/// belongs to no exchange.
fn ended_by_app(of: impl Fn(&str, &[(&str, &str)]) -> f64) -> f64 {
    let app = [("side", "app")];
    let refused = of(FAULTS, &app) - of(FAULTS, &[("side", "app"), ("reason", "unsolicited")]);
    (of(BROKEN, &app) - refused).max(0.0)
}

/// An app that is stopped breaks off its exchanges, so a few are no finding unless they are recent.
fn breaks_off(pods: &[LivePod]) -> Option<Finding> {
    let sum = |name: &str, labels: &[(&str, &str)]| -> f64 {
        readings(pods).map(|(_, reading)| reading.after.sum(name, labels)).sum()
    };
    let count: f64 =
        readings(pods).map(|(_, reading)| ended_by_app(|name, labels| reading.after.sum(name, labels))).sum();
    let grown: f64 = readings(pods).map(|(_, reading)| ended_by_app(|name, labels| reading.grown(name, labels))).sum();
    let requests = sum(REQUESTS, &[]);
    if grown <= 0.0 && count * FEW_REQUESTS <= requests {
        return None;
    }
    let phases = ["request_body", "response_head", "response_body", "tunnel"];
    let phases = phases.map(|phase| (phase, sum(BROKEN, &[("side", "app"), ("phase", phase)])));
    let phases: Vec<String> = phases
        .iter()
        .filter(|(_, count)| *count > 0.0)
        .map(|(it, count)| format!("{it} {}", rounded(*count)))
        .collect();
    let by_recycling = sum(RETIRED_BROKEN, &[("side", "proxy")]);
    let finding = FindingId::AppBreaksOff
        .says(format!("the app broke off {} exchanges before their response was complete", rounded(count)))
        .detail(format!(
            "{} in the last seconds; by phase, with refused responses: {}",
            rounded(grown),
            phases.join(", ")
        ))
        .detail(format!("broken off by the proxy on retired connections: {}", rounded(by_recycling)))
        .fix("the app's log and restarts; its timeout of idle connections must be longer than its clients'");
    Some(if grown > 0.0 { finding } else { finding.lowered() })
}

fn client_faults(pods: &[LivePod]) -> Option<Finding> {
    let count: f64 = readings(pods).map(|(_, reading)| reading.after.sum(FAULTS, &[("side", "client")])).sum();
    let requests: f64 = readings(pods).map(|(_, reading)| reading.after.sum(REQUESTS, &[])).sum();
    (count > 0.0 && count * FEW_REQUESTS > requests + count).then(|| {
        FindingId::ClientFault
            .says(format!(
                "{} requests of clients were refused, and {} were forwarded",
                rounded(count),
                rounded(requests)
            ))
            .fix("the body of the answer names the fault")
    })
}

/// The proxies, which mount the Secret, report this. Reading the Secret would take the right to read its contents.
fn certificate(workload: &Workload, pods: &[LivePod]) -> Option<Finding> {
    let secret = workload.proxy_secret()?;
    let has_none = |reading: &Reading| reading.after.has(EXPIRY) && reading.after.sum(EXPIRY, &[]) == 0.0;
    let affected: Vec<&str> =
        readings(pods).filter(|(_, reading)| has_none(reading)).map(|(pod, _)| pod.name.as_str()).collect();
    let place = workload.in_namespace();
    (!affected.is_empty()).then(|| {
        FindingId::CertificateUnusable
            .says(format!(
                "the proxy has no usable certificate from the Secret {secret}: TLS passes through, uncounted and never retired"
            ))
            .detail(format!("pods: {}", listed(affected)))
            .fix("create the Secret, with tls.crt and tls.key; pods notice within two minutes. The proxy's log names the fault")
            .command(format!("kubectl create secret tls {secret} {place} --cert=tls.crt --key=tls.key"))
    })
}

fn tls(workload: &Workload, pods: &[LivePod]) -> Option<Finding> {
    let tunnels: f64 = readings(pods).map(|(_, reading)| of_clients(&reading.after, TUNNELS, &[("kind", "tls")])).sum();
    let opened: f64 = readings(pods).map(|(_, reading)| of_clients(&reading.after, OPENED, &[])).sum();
    (tunnels > 0.0 && tunnels > opened * MANY_TUNNELS).then(|| {
        let said = format!(
            "{} of {} connections carry TLS that the proxy cannot decrypt: uncounted, never retired",
            rounded(tunnels),
            rounded(opened)
        );
        FindingId::TlsTunnel
            .says(said)
            .fix("give the proxy the certificate (and tls-to-app, if the app speaks TLS), or cut with max-tunnel-age")
            .command(format!(
                "kubectl annotate {} {} {}=NAME",
                workload.name,
                workload.in_namespace(),
                Annotation::TlsSecret
            ))
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::{ids, pod, with, workload};
    use super::*;

    fn found(before: &str, after: &str) -> Vec<FindingId> {
        ids(&errors(&workload(), &[pod("a", before, after)]))
    }

    #[test]
    fn an_app_that_refuses_connections_has_a_finding() {
        let refused = |count: u32| format!("evenkeel_proxy_app_unreachable_total{{reason=\"refused\"}} {count}");
        assert_eq!(found(&refused(0), &refused(0)), []);
        assert_eq!(found(&refused(3), &refused(3)), [], "while it started");
        assert_eq!(found(&refused(3), &refused(4)), [FindingId::AppUnreachable]);
        let mut starting = pod("a", &refused(3), &refused(3));
        starting.ready = false;
        assert_eq!(ids(&errors(&workload(), &[starting])), [FindingId::AppUnreachable]);
    }

    #[test]
    fn protocol_errors_have_a_finding_by_side() {
        let faults = |side: &str, count: u32| {
            format!(
                "evenkeel_proxy_requests_total 1000\nevenkeel_proxy_faults_total{{side=\"{side}\",reason=\"bad_chunk\"}} {count}"
            )
        };
        assert_eq!(found(&faults("app", 0), &faults("app", 0)), []);
        assert_eq!(found(&faults("app", 0), &faults("app", 1)), [FindingId::AppFault]);
        assert_eq!(found(&faults("client", 0), &faults("client", 5)), []);
        assert_eq!(found(&faults("client", 0), &faults("client", 50)), [FindingId::ClientFault]);
        let earlier = errors(&workload(), &[pod("a", &faults("app", 2), &faults("app", 2))]);
        assert_eq!(earlier[0].severity, super::super::super::finding::Severity::Warning);
    }

    #[test]
    fn an_app_that_breaks_connections_has_a_finding() {
        let broken = |count: u32| {
            let labels = r#"side="app",phase="response_body",port="8080""#;
            format!("evenkeel_proxy_requests_total 1000\nevenkeel_proxy_exchanges_broken_total{{{labels}}} {count}")
        };
        assert_eq!(found(&broken(0), &broken(0)), []);
        assert_eq!(found(&broken(5), &broken(5)), [], "as at a restart");
        assert_eq!(found(&broken(5), &broken(6)), [FindingId::AppBreaksOff]);
        let earlier = errors(&workload(), &[pod("a", &broken(50), &broken(50))]);
        assert_eq!(earlier[0].severity, super::super::super::finding::Severity::Warning);
    }

    #[test]
    fn a_refused_response_is_no_exchange_that_the_app_broke_off() {
        let counted = |broken: u32, refused: u32, unsolicited: u32| {
            format!(
                "evenkeel_proxy_requests_total 1000\n\
                 evenkeel_proxy_exchanges_broken_total{{side=\"app\",phase=\"response_head\"}} {broken}\n\
                 evenkeel_proxy_faults_total{{side=\"app\",reason=\"bad_chunk\"}} {refused}\n\
                 evenkeel_proxy_faults_total{{side=\"app\",reason=\"unsolicited\"}} {unsolicited}"
            )
        };
        let refused = [FindingId::AppFault];
        let both = [FindingId::AppFault, FindingId::AppBreaksOff];
        assert_eq!(found(&counted(0, 0, 0), &counted(40, 40, 0)), refused);
        assert_eq!(found(&counted(40, 40, 0), &counted(40, 40, 0)), refused, "earlier");
        assert_eq!(found(&counted(0, 0, 0), &counted(41, 40, 0)), both);
        assert_eq!(found(&counted(0, 0, 0), &counted(1, 0, 40)), both, "these belong to no exchange");
    }

    #[test]
    fn a_missing_or_expired_certificate_has_a_finding() {
        let expiry = |at: u32| {
            format!(
                "{EXPIRY} {at}\nevenkeel_proxy_connections_opened_total 10\nevenkeel_proxy_tunnels_total{{kind=\"tls\"}} 9"
            )
        };
        let asking = with(Annotation::TlsSecret, "web-tls");
        let found = |workload: &Workload, at| ids(&errors(workload, &[pod("a", "", &expiry(at))]));
        assert_eq!(found(&asking, 0), [FindingId::CertificateUnusable], "the tunnels come of that");
        assert_eq!(found(&asking, 1_800_000_000), [FindingId::TlsTunnel]);
        assert_eq!(found(&workload(), 0), [FindingId::TlsTunnel], "none is asked for");
        assert_eq!(ids(&errors(&asking, &[pod("a", "", "")])), [], "a proxy that does not say");
    }

    #[test]
    fn tls_that_is_not_terminated_has_a_finding() {
        let tunnels = |tunnels: u32| {
            format!(
                "evenkeel_proxy_connections_opened_total 10\nevenkeel_proxy_tunnels_total{{kind=\"tls\"}} {tunnels}"
            )
        };
        assert_eq!(found("", &tunnels(0)), []);
        assert_eq!(found("", &tunnels(2)), []);
        assert_eq!(found("", &tunnels(9)), [FindingId::TlsTunnel]);
    }
}
