//! What all connections of the process share.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use settings::{Jitter, MaxRequests, ProxyProtocol, ProxySettings, Span};

use crate::connections::Connections;
use crate::descriptors::room_for_connections;
use crate::dial::{self, Dialer};
use crate::drain::Drain;
use crate::memory::Memory;
use crate::metrics::{counter, registry};
use crate::tls::{self, Tls};
use crate::{observer, tunnel};
use retirement::{Limits, draw_age};

/// The rule, the counters and the drain of one running proxy.
#[derive(Debug)]
pub struct Proxy {
    pub(crate) connections: Arc<Connections>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) drain: Arc<Drain>,
    pub(crate) registry: Registry,
    pub(crate) exchanges: observer::metrics::Metrics,
    pub(crate) tunnels: tunnel::Metrics,
    pub(crate) app_metrics: dial::Metrics,
    pub(crate) accept_pauses: Counter,
    pub(crate) dialer: Dialer,
    pub(crate) opaque_ports: BTreeSet<u16>,
    pub(crate) head_limit: usize,
    pub(crate) introduction: ProxyProtocol,
    pub(crate) forwards_addresses: bool,
    pub(crate) tls: Option<Tls>,
    max_requests: MaxRequests,
    max_age: Option<Span>,
    max_tunnel_age: Option<Span>,
    jitter: Jitter,
}

impl Proxy {
    /// A proxy that has accepted nothing.
    ///
    /// # Errors
    /// TLS is to be ended, and cannot be set up.
    pub fn new(settings: &ProxySettings) -> Result<Self, rustls::Error> {
        let mut registry = registry();
        let connections = Connections::register(&mut registry);
        let exchanges = observer::metrics::Metrics::register(&mut registry);
        let tunnels = tunnel::Metrics::register(&mut registry);
        let app_metrics = dial::Metrics::register(&mut registry);
        let help = "Pauses of accepting for want of descriptors or memory";
        let accept_pauses = counter(&mut registry, "accept_pauses", help);
        let drain = Arc::new(Drain::new(settings.drain_timeout.get()));
        drain.register(&mut registry);
        let tls_metrics = Arc::new(tls::Metrics::register(&mut registry));
        let memory = Memory::new(settings, room_for_connections(settings.threads.get()), &mut registry);
        Ok(Self {
            connections,
            drain,
            registry,
            exchanges,
            tunnels,
            app_metrics,
            accept_pauses,
            memory,
            dialer: Dialer::default(),
            opaque_ports: settings.opaque_ports.clone(),
            head_limit: settings.head_limit.bytes(),
            introduction: settings.proxy_protocol,
            forwards_addresses: settings.forwarded_for.is_on(),
            tls: settings.tls.as_ref().map(|settings| Tls::new(settings, tls_metrics)).transpose()?,
            max_requests: settings.max_requests,
            max_age: settings.max_age,
            max_tunnel_age: settings.max_tunnel_age,
            jitter: settings.jitter,
        })
    }

    pub(crate) fn draw_limits(&self, sample: u32) -> Limits {
        Limits::draw(self.max_requests, self.max_age, self.jitter, sample)
    }

    /// How long a tunnel may last; `None` for as long as it likes.
    pub(crate) fn draw_tunnel_age(&self, sample: u32) -> Option<Duration> {
        self.max_tunnel_age.map(|age| draw_age(age, self.jitter, sample))
    }
}
