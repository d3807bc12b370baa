//! What all connections of the process share.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use settings::{Jitter, MaxRequests, ProxyProtocol, ProxySettings, Span};

use crate::connections::Connections;
use crate::descriptors::room_for_connections;
use crate::dial::Dialer;
use crate::drain::Drain;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::tls::Tls;
use retirement::{Limits, draw_age};

/// The rule, the counters and the drain of one running proxy.
#[derive(Debug)]
pub struct Proxy {
    pub(crate) connections: Arc<Connections>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) drain: Drain,
    pub(crate) metrics: Metrics,
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
        let memory = Memory::new(settings, room_for_connections(settings.threads.get()));
        Ok(Self {
            connections: Arc::default(),
            drain: Drain::new(settings.drain_timeout.get()),
            metrics: Metrics::new(&memory),
            memory: Arc::new(memory),
            dialer: Dialer::default(),
            opaque_ports: settings.opaque_ports.clone(),
            head_limit: settings.head_limit.bytes(),
            introduction: settings.proxy_protocol,
            forwards_addresses: settings.forwarded_for.is_on(),
            tls: settings.tls.as_ref().map(Tls::new).transpose()?,
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
