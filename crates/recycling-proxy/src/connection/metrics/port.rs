//! The metrics of connections to one port of the app.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use retirement::RetireReason;

use crate::app::dial::Unreachable;
use crate::connection::protocol::Protocol;
use crate::metrics::{Counters, Value};
use crate::relay::broken::{Broken, BrokenBy, ExchangePhase};
use crate::relay::side::Side;
use crate::relay::source::Source;
use crate::tunnel::{self, TunnelEnd, TunnelKind};

/// Metrics whose last label is the port.
#[derive(Clone, Debug)]
pub(super) struct Families {
    opened: Counters<3>,
    open: Family<[(&'static str, Value); 1], Gauge>,
    requests: Counters<3>,
    retired: Counters<3>,
    faults: Counters<3>,
    unreachable: Counters<2>,
    broken: Counters<3>,
    tunnels: tunnel::Metrics,
}

impl Families {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let help = "Client connections, counted once their protocol and source are known";
        let opened = Counters::register(registry, "connections_opened", help, ["protocol", "source", "port"]);
        let open = Family::default();
        registry.register("connections_open", "Client connections open now", Family::clone(&open));
        let help = "Requests whose head has passed to the app; in HTTP/2, streams that a client has opened";
        let requests = Counters::register(registry, "requests", help, ["protocol", "source", "port"]);
        let help = "Client connections whose end was announced, by reason";
        let retired = Counters::register(registry, "connections_retired", help, ["reason", "protocol", "port"]);
        let help = "Messages that were not forwarded, by sender and reason";
        let faults = Counters::register(registry, "faults", help, ["side", "reason", "port"]);
        let help = "Client connections that no address of the app accepted, by reason";
        let unreachable = Counters::register(registry, "app_unreachable", help, ["reason", "port"]);
        let help = "Exchanges that ended before their response was complete, by the side that ended them and by phase";
        let broken = Counters::register(registry, "exchanges_broken", help, ["side", "phase", "port"]);
        Self {
            opened,
            open,
            requests,
            retired,
            faults,
            unreachable,
            broken,
            tunnels: tunnel::Metrics::register(registry),
        }
    }
}

/// The metrics of connections to one port of the app.
#[derive(Debug)]
pub(crate) struct PortMetrics {
    number: u16,
    /// The value of the label `port`; ports without series of their own share one.
    port: Value,
    http1: Requests,
    http2: Requests,
    open: Gauge,
    families: Families,
}

/// The counters of requests of one protocol by source. They are stored here to save a look-up per request.
#[derive(Debug)]
struct Requests {
    client: Counter,
    probe: Counter,
    scrape: Counter,
}

impl Requests {
    fn new(families: &Families, protocol: Protocol, port: &Value) -> Self {
        let of = |source: Source| families.requests.of([protocol.label().into(), source.label().into(), port.clone()]);
        Self { client: of(Source::Client), probe: of(Source::Probe), scrape: of(Source::Scrape) }
    }

    const fn of(&self, source: Source) -> &Counter {
        match source {
            Source::Client => &self.client,
            Source::Probe => &self.probe,
            Source::Scrape => &self.scrape,
        }
    }

    fn sum(&self) -> u64 {
        Source::ALL.iter().fold(0, |sum, source| sum.wrapping_add(self.of(*source).get()))
    }
}

impl PortMetrics {
    /// Creates the series of a port at zero, so that rates include the first event, except for faults and rare sources.
    pub(super) fn new(families: &Families, number: u16, port: Value) -> Self {
        let families = families.clone();
        let of_port = |[one, other]: [&'static str; 2]| [one.into(), other.into(), port.clone()];
        for protocol in Protocol::ALL {
            let _ = families.opened.of(of_port([protocol.label(), Source::Client.label()]));
        }
        for reason in RetireReason::ALL {
            for protocol in [Protocol::Http1, Protocol::Http2] {
                let _ = families.retired.of(of_port([reason.label(), protocol.label()]));
            }
        }
        for reason in Unreachable::ALL {
            let _ = families.unreachable.of([reason.label().into(), port.clone()]);
        }
        for by in BrokenBy::ALL {
            for phase in ExchangePhase::ALL {
                let _ = families.broken.of(of_port([by.label(), phase.label()]));
            }
        }
        families.tunnels.begin(&port);
        let open = families.open.get_or_create(&[("port", port.clone())]).clone();
        let [http1, http2] =
            [Protocol::Http1, Protocol::Http2].map(|protocol| Requests::new(&families, protocol, &port));
        Self { number, port, http1, http2, open, families }
    }

    /// Returns the port; 0 for ports without series of their own.
    pub(crate) const fn number(&self) -> u16 {
        self.number
    }

    /// Counts a connection as open until the result is dropped.
    pub(crate) fn open(self: &Arc<Self>) -> OpenOnPort {
        self.open.inc();
        OpenOnPort(Arc::clone(self))
    }

    /// Counts a connection once its protocol and source are known.
    pub(crate) fn opened(&self, protocol: Protocol, source: Source) {
        self.families.opened.inc([protocol.label().into(), source.label().into(), self.port.clone()]);
    }

    /// Counts a client's connection that the app did not accept.
    pub(crate) fn unreachable(&self, reason: Unreachable) {
        self.families.unreachable.inc([reason.label().into(), self.port.clone()]);
    }

    /// Counts a request that has begun.
    pub(crate) fn request(&self, protocol: Protocol, source: Source) {
        match protocol {
            Protocol::Http1 => self.http1.of(source).inc(),
            Protocol::Http2 => self.http2.of(source).inc(),
            Protocol::Tunnel | Protocol::Unknown => return,
        };
    }

    /// Counts a connection whose end was announced.
    pub(crate) fn retired(&self, reason: RetireReason, protocol: Protocol) {
        self.families.retired.inc([reason.label().into(), protocol.label().into(), self.port.clone()]);
    }

    /// Counts a message that was not forwarded.
    pub(crate) fn fault(&self, side: Side, reason: &'static str) {
        self.families.faults.inc([side.label().into(), reason.into(), self.port.clone()]);
    }

    /// Counts an exchange that was broken off.
    pub(crate) fn broken(&self, broken: Broken) {
        self.families.broken.inc([broken.by.label().into(), broken.phase.label().into(), self.port.clone()]);
    }

    /// Counts a connection that became a tunnel.
    pub(crate) fn tunnel_opened(&self, kind: TunnelKind, source: Source) {
        self.families.tunnels.opened(kind, source, &self.port);
    }

    /// Counts a tunnel that has ended.
    pub(crate) fn tunnel_ended(&self, end: TunnelEnd) {
        self.families.tunnels.ended(end, &self.port);
    }

    /// Returns the number of requests of all sources.
    pub(super) fn requests_so_far(&self) -> u64 {
        self.http1.sum().wrapping_add(self.http2.sum())
    }

    /// Returns the number of connections that were retired for this reason.
    pub(super) fn retired_so_far(&self, reason: RetireReason) -> u64 {
        let of = |protocol: Protocol| {
            self.families.retired.of([reason.label().into(), protocol.label().into(), self.port.clone()]).get()
        };
        of(Protocol::Http1).wrapping_add(of(Protocol::Http2))
    }
}

/// A connection that counts as open until this is dropped.
#[derive(Debug)]
pub(crate) struct OpenOnPort(Arc<PortMetrics>);

impl OpenOnPort {
    /// Returns the metrics of connections to this port.
    pub(crate) const fn metrics(&self) -> &Arc<PortMetrics> {
        &self.0
    }
}

impl Drop for OpenOnPort {
    fn drop(&mut self) {
        self.0.open.dec();
    }
}
