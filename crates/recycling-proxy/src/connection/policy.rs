//! What is decided about connections before any is there.

use std::collections::BTreeSet;
use std::time::Duration;

use retirement::{Limits, draw_age};
use settings::{Jitter, MaxRequests, ProxyProtocol, ProxySettings, Span};

/// How connections are treated, as the settings say. It never changes.
#[derive(Debug)]
pub(crate) struct Policy {
    /// Ports of the app whose bytes nobody looks at.
    pub(super) opaque_ports: BTreeSet<u16>,
    /// The longest head of a message that passes, in bytes.
    pub(super) head_limit: usize,
    /// The header that tells the app its client.
    pub(super) proxy_protocol: ProxyProtocol,
    /// Whether each request carries its client's address.
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
            proxy_protocol: settings.proxy_protocol,
            forwards_addresses: settings.forwarded_for.is_on(),
            max_requests: settings.max_requests,
            max_age: settings.max_age,
            max_tunnel_age: settings.max_tunnel_age,
            jitter: settings.jitter,
        }
    }

    /// Draws a connection's own limits; `sample` is uniform over all of `u32`.
    pub(super) fn draw_limits(&self, sample: u32) -> Limits {
        Limits::draw(self.max_requests, self.max_age, self.jitter, sample)
    }

    /// Draws how long a tunnel may last; `None` where it may last for ever. `sample` is uniform over all of `u32`.
    pub(super) fn draw_tunnel_age(&self, sample: u32) -> Option<Duration> {
        self.max_tunnel_age.map(|age| draw_age(age, self.jitter, sample))
    }
}
