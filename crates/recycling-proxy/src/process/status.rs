//! `recycling-proxy status`: a report of the running proxy's metrics in plain text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use balancing::BalanceState;
use exposition::Metrics;

use crate::app::sockets::ListenAddress;
use crate::relay::broken::BrokenBy;
use crate::relay::side::Side;
use crate::relay::source::Source;
use crate::retire::drain::DrainPhase;

/// Returns the report of a proxy with these metrics.
pub fn report(metrics: &Metrics) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_report(&mut text, &Counted(metrics));
    text
}

/// The metrics of a proxy.
struct Counted<'a>(&'a Metrics);

impl Counted<'_> {
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.0.sum(&full(name), labels)
    }

    fn by(&self, label: &str, name: &str, labels: &[(&str, &str)]) -> BTreeMap<&str, f64> {
        self.0.by_label_of(&full(name), label, labels)
    }

    fn current(&self, name: &str, label: &str) -> Option<&str> {
        self.0.current(&full(name), label)
    }

    /// Returns the ports of the app, in their order.
    fn ports(&self) -> BTreeSet<u16> {
        let shown = self.by("port", "connections_open", &[]);
        shown
            .keys()
            .chain(self.by("port", "connections_bypassing", &[]).keys())
            .filter_map(|it| it.parse().ok())
            .collect()
    }
}

fn full(name: &str) -> String {
    format!("evenkeel_proxy_{name}")
}

fn write_report(text: &mut String, counted: &Counted<'_>) -> fmt::Result {
    let version = counted.current("build_info", "version").unwrap_or_default();
    let phase = counted.current("drain_phase", "phase");
    let phase = DrainPhase::ALL.iter().find(|one| Some(one.label()) == phase);
    let said = phase.map_or("", |phase| phase.sentence().trim_end_matches('.'));
    writeln!(text, "recycling-proxy {version}: {} ({said})", phase.map_or("", |phase| phase.label()))?;
    writeln!(text, "balancing: {}", balancing(counted))?;
    let ports = counted.ports();
    for port in &ports {
        writeln!(text, "\nport {port}")?;
        let number = port.to_string();
        for (name, line) in of_port(counted, &number) {
            writeln!(text, "  {name:<12} {line}")?;
        }
    }
    let others = counted
        .by("port", "app_listening", &[])
        .into_keys()
        .filter(|port| port.parse().is_ok_and(|port: u16| !ports.contains(&port)));
    let others: Vec<&str> = others.collect();
    if !others.is_empty() {
        writeln!(text, "\nother ports of the pod that are listened on: {}", others.join(", "))?;
    }
    Ok(())
}

fn balancing(counted: &Counted<'_>) -> String {
    let state = counted.current("balance_state", "state");
    match BalanceState::ALL.iter().find(|one| Some(one.label()) == state) {
        None => "not asked for: connections are retired at their limits alone".to_owned(),
        Some(state) => format!(
            "{} ({}); load {} requests/s, mean of the pods {}",
            state.label(),
            state.sentence().trim_end_matches('.'),
            rounded(counted.sum("balance_load", &[])),
            rounded(counted.sum("balance_mean_load", &[])),
        ),
    }
}

/// Returns the lines about a port.
fn of_port(counted: &Counted<'_>, port: &str) -> [(&'static str, String); 6] {
    let labels = [("port", port)];
    let sum = |name: &str| counted.sum(name, &labels);
    let by = |label: &str, name: &str| listed(&counted.by(label, name, &labels));
    let bypassing = match sum("connections_bypassing") {
        0.0 => String::new(),
        past => format!("; {past} more do NOT pass through the proxy"),
    };
    [
        ("app", listens(counted, port)),
        ("connections", format!("{} open{bypassing}", sum("connections_open"))),
        ("requests", by_source(counted, port)),
        ("retired", by("reason", "connections_retired_total").unwrap_or_else(|| "none".to_owned())),
        ("limits", limits(sum("max_requests"), sum("max_age_seconds"))),
        ("faults", faults(counted, port)),
    ]
}

fn listens(counted: &Counted<'_>, port: &str) -> String {
    let found = counted.by("address", "app_listening", &[("port", port)]);
    let address = ListenAddress::ALL.iter().find(|one| found.contains_key(one.label()));
    address.map_or_else(
        || "unknown: it is on another machine, or the kernel does not tell".to_owned(),
        |address| match address {
            ListenAddress::None => lowercase(address.sentence()),
            ListenAddress::Any | ListenAddress::Loopback | ListenAddress::LoopbackIpv6 | ListenAddress::Pod => {
                format!("listens {}", lowercase(address.sentence()))
            }
        },
    )
}

fn by_source(counted: &Counted<'_>, port: &str) -> String {
    let by_source = counted.by("source", "requests_total", &[("port", port)]);
    let of = |source: Source| by_source.get(source.label()).copied().unwrap_or_default();
    format!("{} of clients, {} of probes, {} of scrapes", of(Source::Client), of(Source::Probe), of(Source::Scrape))
}

fn limits(max_requests: f64, max_age: f64) -> String {
    let requests = if max_requests > 0.0 { format!("{max_requests} requests") } else { "none by requests".to_owned() };
    let age = if max_age > 0.0 { format!(", {max_age} s") } else { String::new() };
    format!("{requests}{age}")
}

/// Returns the counts of failures, by side.
fn faults(counted: &Counted<'_>, port: &str) -> String {
    let with = |labels: &[(&'static str, &'static str)]| -> Vec<(&str, &str)> {
        std::iter::once(("port", port)).chain(labels.iter().copied()).collect()
    };
    let found = [
        ("app does not accept", "reason", "app_unreachable_total", with(&[])),
        ("responses refused", "reason", "faults_total", with(&[("side", Side::App.label())])),
        ("broken off by the app", "phase", "exchanges_broken_total", with(&[("side", BrokenBy::App.label())])),
        ("broken off by the proxy", "phase", "exchanges_broken_total", with(&[("side", BrokenBy::Proxy.label())])),
        ("requests refused", "reason", "faults_total", with(&[("side", Side::Client.label())])),
    ];
    let said: Vec<String> = found
        .iter()
        .filter_map(|(what, label, name, labels)| {
            Some(format!("{what}: {}", listed(&counted.by(label, name, labels))?))
        })
        .collect();
    if said.is_empty() { "none".to_owned() } else { said.join("; ") }
}

/// Returns the counts above zero; `None` if there is none.
fn listed(counts: &BTreeMap<&str, f64>) -> Option<String> {
    let counts: Vec<String> =
        counts.iter().filter(|(_, count)| **count > 0.0).map(|(name, count)| format!("{name} {count}")).collect();
    (!counts.is_empty()).then(|| counts.join(", "))
}

fn rounded(number: f64) -> String {
    format!("{number:.1}")
}

fn lowercase(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: &str = r#"
evenkeel_proxy_build_info{version="1.2.3"} 1
evenkeel_proxy_drain_phase{phase="serving"} 1
evenkeel_proxy_drain_phase{phase="draining"} 0
evenkeel_proxy_connections_open{port="8080"} 12
evenkeel_proxy_connections_open{port="9102"} 0
evenkeel_proxy_requests_total{protocol="http1",source="client",port="8080"} 81200
evenkeel_proxy_requests_total{protocol="http2",source="client",port="8080"} 100
evenkeel_proxy_requests_total{protocol="http1",source="probe",port="8080"} 40
evenkeel_proxy_connections_retired_total{reason="max_requests",protocol="http1",port="8080"} 811
evenkeel_proxy_connections_retired_total{reason="drain",protocol="http1",port="8080"} 0
evenkeel_proxy_max_requests{port="8080"} 1000
evenkeel_proxy_max_age_seconds{port="8080"} 90
evenkeel_proxy_faults_total{side="app",reason="bare_line_end",port="8080"} 3
evenkeel_proxy_faults_total{side="client",reason="bad_host",port="8080"} 0
evenkeel_proxy_exchanges_broken_total{side="app",phase="response_head",port="8080"} 2
"#;
    const SOCKETS: &str = r#"
evenkeel_proxy_app_listening{port="8080",address="loopback_ipv6"} 1
evenkeel_proxy_app_listening{port="9102",address="none"} 0
evenkeel_proxy_app_listening{port="9100",address="any"} 1
evenkeel_proxy_connections_bypassing{port="8080"} 4
evenkeel_proxy_connections_bypassing{port="9102"} 0
"#;

    fn of(text: &str) -> String {
        report(&Metrics::parse(text).unwrap())
    }

    #[test]
    fn the_status_lists_each_port() {
        let expected = "\
recycling-proxy 1.2.3: serving (No drain has begun)
balancing: not asked for: connections are retired at their limits alone

port 8080
  app          listens at the IPv6 loopback address alone
  connections  12 open; 4 more do NOT pass through the proxy
  requests     81300 of clients, 40 of probes, 0 of scrapes
  retired      max_requests 811
  limits       1000 requests, 90 s
  faults       responses refused: bare_line_end 3; broken off by the app: response_head 2

port 9102
  app          nothing listens on the port
  connections  0 open
  requests     0 of clients, 0 of probes, 0 of scrapes
  retired      none
  limits       none by requests
  faults       none

other ports of the pod that are listened on: 9100
";
        assert_eq!(of(&format!("{METRICS}{SOCKETS}")), expected);
    }

    #[test]
    fn a_listen_address_that_cannot_be_read_is_unknown() {
        let text = of(METRICS);
        assert!(text.contains("  app          unknown") && !text.contains("NOT"), "{text}");
    }

    #[test]
    fn the_status_says_whether_balancing_is_in_force_or_why_not() {
        for (state, said) in [
            ("in_force", "balancing: in_force (An instruction is in force"),
            ("expired", "balancing: expired (The last instruction is older"),
        ] {
            let text = of(&format!(
                "{METRICS}evenkeel_proxy_balance_state{{state=\"{state}\"}} 1\nevenkeel_proxy_balance_load 41.26\n"
            ));
            assert!(text.contains(said) && text.contains("load 41.3 requests/s"), "{text}");
        }
    }
}
