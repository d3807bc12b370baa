//! The source of a request: a client, a probe, or a collector of metrics.

use labels::labels;

labels!(
    /// The sender of a request, or the peer of a connection, as metrics count it.
    pub Source {
        /// Any other client.
        Client = "client",
        /// A probe: of the kubelet, or a connection without a byte.
        Probe = "probe",
        /// A collector of metrics.
        Scrape = "scrape",
    }
);

/// How `User-Agent` of the kubelet's probes begins.
const PROBES: [&[u8]; 1] = [b"kube-probe/"];

/// How `User-Agent` of collectors of metrics begins.
const SCRAPES: [&[u8]; 6] =
    [b"Prometheus/", b"vmagent", b"VictoriaMetrics", b"Grafana", b"Alloy/", b"OpenTelemetry Collector"];

#[expect(clippy::derivable_impls, reason = "the macro has no place for the attribute of a variant")]
impl Default for Source {
    fn default() -> Self {
        Self::Client
    }
}

impl Source {
    /// Returns the source that the value of `User-Agent` (RFC 9110 §10.1.5) names. Every client can send any value.
    /// That hides requests from metrics of clients, and such connections do not prolong a drain. It changes nothing else.
    pub(crate) fn of_user_agent(value: &[u8]) -> Self {
        let begins = |starts: &[&[u8]]| starts.iter().any(|start| value.starts_with(start));
        if begins(&PROBES) {
            Self::Probe
        } else if begins(&SCRAPES) {
            Self::Scrape
        } else {
            Self::Client
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_and_scrapes_are_recognized_by_user_agent() {
        for (value, source) in [
            ("kube-probe/1.36", Source::Probe),
            ("kube-probe/1.36+", Source::Probe),
            ("Prometheus/3.5.0", Source::Scrape),
            ("vmagent", Source::Scrape),
            ("GrafanaAgent/v0.44.2", Source::Scrape),
            ("Alloy/v1.10.0 (linux; docker)", Source::Scrape),
            ("OpenTelemetry Collector Contrib/0.140.0", Source::Scrape),
            ("curl/8.14.1", Source::Client),
            ("my kube-probe/1", Source::Client),
            ("kube-probe", Source::Client),
            ("", Source::Client),
        ] {
            assert_eq!(Source::of_user_agent(value.as_bytes()), source, "{value}");
        }
    }
}
