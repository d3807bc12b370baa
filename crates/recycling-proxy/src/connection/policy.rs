//! The settings that apply to all connections.

use std::collections::BTreeSet;
use std::time::Duration;

use prometheus_client::registry::Registry;
use retirement::{Limits, draw_age};
use settings::{Jitter, MaxRequests, ProxyProtocol, ProxySettings, Span};

use crate::metrics::PortGauge;

/// The settings that apply to all connections. They never change.
#[derive(Debug)]
pub(crate) struct Policy {
    /// The opaque ports of the app.
    pub(super) opaque_ports: BTreeSet<u16>,
    /// The longest head of a message that is forwarded, in bytes.
    pub(super) head_limit: usize,
    /// The version of the PROXY protocol towards the app.
    pub(super) proxy_protocol: ProxyProtocol,
    /// Whether the client's address is added to each request (`forwarded-for`).
    pub(super) forwards_addresses: bool,
    max_requests: MaxRequests,
    max_age: Option<Span>,
    max_tunnel_age: Option<Span>,
    jitter: Jitter,
}

impl Policy {
    pub(crate) fn of(settings: &ProxySettings) -> Self {
        Self {
            opaque_ports: settings.opaque_ports.clone(),
            head_limit: settings.head_limit.bytes(),
            proxy_protocol: settings.shared.proxy_protocol,
            forwards_addresses: settings.shared.forwarded_for.is_on(),
            max_requests: settings.max_requests,
            max_age: settings.shared.max_age,
            max_tunnel_age: settings.shared.max_tunnel_age,
            jitter: settings.shared.jitter,
        }
    }

    /// Registers metrics of the limits in force, for ports of the app. `rests` returns whether the limit of requests is
    /// suspended by balancing.
    pub(crate) fn register(
        settings: &ProxySettings,
        rests: impl Fn() -> bool + Send + Sync + 'static,
        registry: &mut Registry,
    ) {
        let Self { opaque_ports, max_requests, max_age, .. } = Self::of(settings);
        let (opaque, ports) = (opaque_ports.clone(), settings.app_ports());
        let limit = move |port: u16| if opaque.contains(&port) || rests() { 0 } else { u64::from(max_requests.get()) };
        let help = "Requests after which a connection is retired, before jitter; 0 if requests retire none: on opaque ports, and while balancing is in force";
        PortGauge::register(registry, "max_requests", help, ports.clone(), limit);
        let age =
            move |port: u16| max_age.filter(|_| !opaque_ports.contains(&port)).map_or(0, |age| age.get().as_secs());
        let help = "Age after which a connection is retired, before jitter; 0 if none is set";
        PortGauge::register(registry, "max_age_seconds", help, ports, age);
    }

    /// Draws a connection's own limits; `sample` is uniform over all of `u32`.
    pub(super) fn draw_limits(&self, sample: u32) -> Limits {
        Limits::draw(self.max_requests, self.max_age, self.jitter, sample)
    }

    /// Draws the maximum age of a tunnel; `None` if it has none. `sample` is uniform over all of `u32`.
    pub(super) fn draw_tunnel_age(&self, sample: u32) -> Option<Duration> {
        self.max_tunnel_age.map(|age| draw_age(age, self.jitter, sample))
    }
}
