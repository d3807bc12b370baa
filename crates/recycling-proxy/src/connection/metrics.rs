//! What is counted of client connections.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use retirement::RetireReason;

use crate::app::dial::Unreachable;
use crate::metrics::{Counters, counter};
use crate::relay::side::Side;
use crate::retire::balance::Totals;
use crate::tunnel;

/// Fine where limits are set, and as far as they go: to 2³²−1.
const REQUESTS: [f64; 14] = [1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1e3, 5e3, 1e4, 5e4, 1e5, 1e6, 4_294_967_296.0];

/// What is counted of client connections.
#[derive(Debug)]
pub(crate) struct Metrics {
    requests: Counter,
    requests_per_connection: Histogram,
    retired: Counters<1>,
    ignored: Counter,
    faults: Counters<2>,
    client_timeouts: Counter,
    unreachable: Counters<1>,
    pub(super) tunnels: tunnel::Metrics,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let help = "Requests whose head has passed to the app; in HTTP/2, streams that a client has opened";
        let requests = counter(registry, "requests", help);
        let requests_per_connection = Histogram::new(REQUESTS);
        let help = "Requests of each HTTP connection that has ended; in HTTP/2, streams";
        registry.register("requests_per_connection", help, requests_per_connection.clone());
        let help = "Client connections whose end was announced, by reason";
        let retired = Counters::register(registry, "connections_retired", help, ["reason"]);
        let help = "Client connections on which requests still came after their end was announced";
        let ignored = counter(registry, "announcements_ignored", help);
        let help = "Messages that were not forwarded, by sender and reason";
        let faults = Counters::register(registry, "faults", help, ["side", "reason"]);
        let help = "HTTP connections that the kernel gave up because the client no longer answered (ETIMEDOUT)";
        let client_timeouts = counter(registry, "client_timeouts", help);
        let help = "Client connections that no address of the app accepted, by reason";
        let unreachable = Counters::register(registry, "app_unreachable", help, ["reason"]);
        Self {
            requests,
            requests_per_connection,
            retired: retired.zeroed(RetireReason::ALL.iter().map(|reason| [reason.label()])),
            ignored,
            faults,
            client_timeouts,
            unreachable: unreachable.zeroed(Unreachable::ALL.iter().map(|reason| [reason.label()])),
            tunnels: tunnel::Metrics::register(registry),
        }
    }

    /// Returns the counters that balancing reports.
    pub(crate) fn totals(&self) -> Totals {
        Totals { requests: self.requests.clone(), retired: self.retired.of([RetireReason::Balance.label()]) }
    }

    /// Counts a client's connection that the app did not accept.
    pub(super) fn unreachable(&self, reason: Unreachable) {
        self.unreachable.inc([reason.label()]);
    }

    /// Counts a request that has begun.
    pub(super) fn request(&self) {
        self.requests.inc();
    }

    /// Counts a connection that has ended after so many requests.
    pub(super) fn ended(&self, requests: u32) {
        self.requests_per_connection.observe(f64::from(requests));
    }

    /// Counts a connection whose end was announced.
    pub(super) fn retired(&self, reason: RetireReason) {
        self.retired.inc([reason.label()]);
    }

    /// Counts a connection whose client went on after the end was announced.
    pub(super) fn ignored(&self) {
        self.ignored.inc();
    }

    /// Counts a message that was not forwarded.
    pub(super) fn fault(&self, side: Side, reason: &'static str) {
        self.faults.inc([side.label(), reason]);
    }

    /// Counts a connection whose client the kernel has given up.
    pub(super) fn client_timeout(&self) {
        self.client_timeouts.inc();
    }
}
