//! The metrics of client connections.

mod port;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use retirement::RetireReason;

use self::port::Families;
use crate::metrics::{Counters, counter};
use crate::relay::broken::BrokenBy;
use crate::relay::source::Source;
use crate::retire::balance::Totals;

pub(crate) use self::port::{OpenOnPort, PortMetrics};

/// The buckets for requests per connection: fine at usual limits, and up to the largest, 2³²−1.
const REQUESTS: [f64; 14] = [1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1e3, 5e3, 1e4, 5e4, 1e5, 1e6, 4_294_967_296.0];

/// The most ports with series of their own. If other rules redirect all ports to the proxy, clients could otherwise
/// create a series for each.
const MOST_PORTS: usize = 64;

/// The metrics of client connections.
#[derive(Debug)]
pub(crate) struct Metrics {
    ports: Arc<Ports>,
    requests_per_connection: Histogram,
    ignored: Counter,
    client_timeouts: Counter,
    retired_and_broken: Counters<1>,
}

impl Metrics {
    /// Registers the metrics. The series of `ports` of the app exist from the start, at zero.
    pub(crate) fn register(registry: &mut Registry, ports: impl IntoIterator<Item = u16>) -> Self {
        let families = Families::register(registry);
        let requests_per_connection = Histogram::new(REQUESTS);
        let help = "Requests (HTTP/2: streams) on each client connection, observed when it ends";
        registry.register("requests_per_connection", help, requests_per_connection.clone());
        let help = "Client connections on which requests arrived after their end was announced";
        let ignored = counter(registry, "announcements_ignored", help);
        let help = "HTTP connections that the kernel closed because the client stopped responding (ETIMEDOUT)";
        let client_timeouts = counter(registry, "client_timeouts", help);
        let help = "Exchanges that ended early on connections whose end had been announced, by side";
        let retired_and_broken = Counters::register(registry, "retired_exchanges_broken", help, ["side"]);
        let retired_and_broken = retired_and_broken.zeroed(BrokenBy::ALL.iter().map(|by| [by.label()]));
        let known = Mutex::default();
        let ports_metrics = Ports { families, known };
        for port in ports {
            drop(ports_metrics.of(port));
        }
        Self { ports: Arc::new(ports_metrics), requests_per_connection, ignored, client_timeouts, retired_and_broken }
    }

    /// Returns the metrics of connections to this port of the app.
    pub(crate) fn of_port(&self, port: u16) -> Arc<PortMetrics> {
        self.ports.of(port)
    }

    /// Returns a reader of the counters in the balancing report.
    pub(crate) fn totals(&self) -> Totals {
        let ports = Arc::clone(&self.ports);
        Totals::reading(move || ports.totals())
    }

    /// Counts a connection that has ended, with its number of requests.
    pub(super) fn ended(&self, requests: u32, source: Source) {
        if source == Source::Client {
            self.requests_per_connection.observe(f64::from(requests));
        }
    }

    /// Counts a connection whose client sent requests after its end was announced.
    pub(super) fn ignored(&self) {
        self.ignored.inc();
    }

    /// Counts an exchange that was broken off on a connection whose end had been announced.
    pub(super) fn retired_and_broken(&self, by: BrokenBy) {
        self.retired_and_broken.inc([by.label()]);
    }

    /// Counts a connection that the kernel closed with ETIMEDOUT.
    pub(super) fn client_timeout(&self) {
        self.client_timeouts.inc();
    }
}

/// The ports with connections, and those of the settings.
#[derive(Debug)]
struct Ports {
    families: Families,
    known: Mutex<BTreeMap<u16, Arc<PortMetrics>>>,
}

impl Ports {
    fn of(&self, port: u16) -> Arc<PortMetrics> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // All further ports share the key 0.
        let key = if known.contains_key(&port) || known.len() < MOST_PORTS { port } else { 0 };
        let name = || if key == 0 { "other".into() } else { key.to_string().into() };
        Arc::clone(known.entry(key).or_insert_with(|| Arc::new(PortMetrics::new(&self.families, key, name()))))
    }

    /// Returns the number of requests, and of connections retired by balancing.
    fn totals(&self) -> [u64; 2] {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.values().fold([0, 0], |[requests, retired]: [u64; 2], port| {
            [
                requests.wrapping_add(port.requests_so_far()),
                retired.wrapping_add(port.retired_so_far(RetireReason::Balance)),
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;
    use crate::connection::protocol::Protocol;

    #[test]
    fn port_labels_are_bounded_and_their_series_begin_at_zero() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry, [8080]);
        let text = |registry: &Registry| {
            let mut text = String::new();
            encode(&mut text, registry).unwrap();
            text
        };
        let sample = "requests_total{protocol=\"http1\",source=\"client\",port=\"8080\"}";
        assert!(text(&registry).contains(&format!("{sample} 0\n")), "{}", text(&registry));
        for port in 1..=1000 {
            metrics.of_port(port).request(Protocol::Http1, Source::Client);
        }
        metrics.of_port(8080).request(Protocol::Http1, Source::Client);
        assert!(text(&registry).contains(&format!("{sample} 1\n")), "{}", text(&registry));
        assert_eq!(metrics.ports.totals(), [1001, 0]);
        assert_eq!(
            text(&registry).lines().filter(|line| line.starts_with("connections_open{")).count(),
            MOST_PORTS + 1
        );
    }
}
