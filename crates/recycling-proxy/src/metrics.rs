//! What the proxy counts, in the text format of Prometheus.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::connections::Connections;
use crate::dial::Unreachable;
use crate::drain::{Drain, DrainPhase};
use crate::memory::Memory;
use crate::side::Side;
use crate::tls::fault::TlsFault;
use crate::tls::outcome::CertificateOutcome;
use crate::tunnel::{TunnelEnd, TunnelKind};
use crate::{http1, http2};
use retirement::RetireReason;

/// Fine where limits are set, and as far as they go: to 2³²−1.
const REQUESTS: [f64; 14] = [1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1e3, 5e3, 1e4, 5e4, 1e5, 1e6, 4_294_967_296.0];

/// Every counter of the process.
#[derive(Debug)]
pub struct Metrics {
    /// Client connections accepted.
    pub opened: Counter,
    /// Requests whose head has passed.
    pub requests: Counter,
    /// Connections whose clients went on after the end was announced.
    pub ignored: Counter,
    /// The number of requests on each connection that has ended.
    pub requests_per_connection: Histogram,
    /// Accepts that the system refused for want of descriptors or memory.
    pub accept_pauses: Counter,
    /// Connections whose clients the kernel has given up.
    pub client_timeouts: Counter,
    /// TLS handshakes with clients that were completed.
    pub tls_ended: Counter,
    tls_failed: Family<TlsFailure, Counter>,
    certificate: Family<Outcome, Counter>,
    certificate_ends: Gauge<u64, AtomicU64>,
    retired: Family<Reason, Counter>,
    tunnels: Family<Kind, Counter>,
    tunnels_ended: Family<End, Counter>,
    faults: Family<FaultOf, Counter>,
    app_unreachable: Family<Obstacle, Counter>,
    open: Gauge<u64, AtomicU64>,
    memory_size: Gauge<u64, AtomicU64>,
    memory_used: Gauge<u64, AtomicU64>,
    draining: Family<Phase, Gauge<u64, AtomicU64>>,
    registry: Registry,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TlsFailure {
    side: Side,
    reason: TlsFault,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: CertificateOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: TunnelKind,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct End {
    end: TunnelEnd,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Obstacle {
    kind: Unreachable,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FaultOf {
    side: Side,
    fault: AnyFault,
}

/// A fault of either protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AnyFault {
    /// In HTTP/1.
    Http1(http1::fault::Fault),
    /// In HTTP/2.
    Http2(http2::fault::Fault),
}

impl EncodeLabelValue for AnyFault {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        match self {
            Self::Http1(fault) => fault.encode(encoder),
            Self::Http2(fault) => fault.encode(encoder),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Phase {
    phase: DrainPhase,
}

impl Metrics {
    /// Every counter at zero; those with a reason are there from the start, so that rates see the first event.
    pub fn new(memory: &Memory) -> Self {
        let mut metrics = Self {
            opened: Counter::default(),
            requests: Counter::default(),
            ignored: Counter::default(),
            requests_per_connection: Histogram::new(REQUESTS),
            accept_pauses: Counter::default(),
            client_timeouts: Counter::default(),
            tls_ended: Counter::default(),
            tls_failed: Family::default(),
            certificate: Family::default(),
            certificate_ends: Gauge::default(),
            retired: Family::default(),
            tunnels: Family::default(),
            tunnels_ended: Family::default(),
            faults: Family::default(),
            app_unreachable: Family::default(),
            open: Gauge::default(),
            memory_size: Gauge::default(),
            memory_used: Gauge::default(),
            draining: Family::default(),
            registry: Registry::with_prefix("evenkeel_proxy"),
        };
        for reason in RetireReason::ALL {
            let _ = metrics.retired.get_or_create(&Reason { reason: reason.label() });
        }
        for kind in TunnelKind::ALL {
            let _ = metrics.tunnels.get_or_create(&Kind { kind: *kind });
        }
        for end in TunnelEnd::ALL {
            let _ = metrics.tunnels_ended.get_or_create(&End { end: *end });
        }
        for kind in Unreachable::ALL {
            let _ = metrics.app_unreachable.get_or_create(&Obstacle { kind: *kind });
        }
        for outcome in CertificateOutcome::ALL {
            let _ = metrics.certificate.get_or_create(&Outcome { outcome: *outcome });
        }
        for reason in TlsFault::ALL {
            for side in Side::ALL {
                let _ = metrics.tls_failed.get_or_create(&TlsFailure { side: *side, reason: *reason });
            }
        }
        metrics.register();
        metrics.register_tls();
        metrics.register_memory(memory);
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("connections_opened", "Client connections accepted", self.opened.clone());
        registry.register("connections_open", "Client connections open now", self.open.clone());
        registry.register(
            "requests",
            "Requests whose head has passed to the app; in HTTP/2, streams that a client has opened",
            self.requests.clone(),
        );
        registry.register(
            "requests_per_connection",
            "Requests of each HTTP connection that has ended; in HTTP/2, streams",
            self.requests_per_connection.clone(),
        );
        registry.register(
            "connections_retired",
            "Client connections whose end was announced, by reason",
            self.retired.clone(),
        );
        registry.register(
            "announcements_ignored",
            "Client connections on which requests still came after their end was announced",
            self.ignored.clone(),
        );
        registry.register("tunnels", "Client connections that became tunnels, by kind", self.tunnels.clone());
        registry.register("tunnels_ended", "Tunnels that have ended, by the way in which", self.tunnels_ended.clone());
        registry.register("faults", "Messages that were not forwarded, by sender and fault", self.faults.clone());
        registry.register(
            "client_timeouts",
            "HTTP connections that the kernel gave up because the client no longer answered (ETIMEDOUT)",
            self.client_timeouts.clone(),
        );
        registry.register(
            "app_unreachable",
            "Client connections that no address of the app accepted, by kind of failure",
            self.app_unreachable.clone(),
        );
        registry.register(
            "accept_pauses",
            "Pauses of accepting for want of descriptors or memory",
            self.accept_pauses.clone(),
        );
        registry.register("build", "The program that runs", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        registry.register("drain_phase", "1 for the phase in which the drain is", self.draining.clone());
    }

    fn register_tls(&mut self) {
        let registry = &mut self.registry;
        registry.register("tls_handshakes", "Client connections whose TLS was ended here", self.tls_ended.clone());
        registry.register(
            "tls_handshake_failures",
            "TLS handshakes that came to nothing, by the side that they were with and the reason",
            self.tls_failed.clone(),
        );
        registry.register(
            "certificate_loads",
            "What became of the certificate's files whenever there was something to do about them",
            self.certificate.clone(),
        );
        registry.register(
            "certificate_expiry_timestamp_seconds",
            "When the certificate that clients are shown ends, in Unix time; 0 while there is none",
            self.certificate_ends.clone(),
        );
    }

    fn register_memory(&mut self, memory: &Memory) {
        let registry = &mut self.registry;
        registry.register(
            "memory_budget_bytes",
            "Memory that client connections may have together, drawn from the container's limit",
            self.memory_size.clone(),
        );
        registry.register(
            "memory_budget_used_bytes",
            "Memory of that budget that is taken: by connections, buffers, handshakes and streams",
            self.memory_used.clone(),
        );
        registry.register(
            "shortages",
            "What was done because the memory budget or the places for connections were spent, by action",
            memory.shortages(),
        );
    }

    /// Counts a TLS handshake that came to nothing.
    pub fn tls_failed(&self, side: Side, reason: TlsFault) {
        self.tls_failed.get_or_create(&TlsFailure { side, reason }).inc();
    }

    /// Counts what became of the certificate's files.
    pub fn certificate(&self, outcome: CertificateOutcome) {
        self.certificate.get_or_create(&Outcome { outcome }).inc();
    }

    /// Notes when the certificate that clients are shown ends.
    pub fn certificate_ends(&self, end: Option<SystemTime>) {
        let since_epoch = end.and_then(|end| end.duration_since(SystemTime::UNIX_EPOCH).ok());
        self.certificate_ends.set(since_epoch.unwrap_or_default().as_secs());
    }

    /// Counts a connection whose end was announced.
    pub fn retired(&self, reason: RetireReason) {
        self.retired.get_or_create(&Reason { reason: reason.label() }).inc();
    }

    /// Counts a connection that became a tunnel.
    pub fn tunnel(&self, kind: TunnelKind) {
        self.tunnels.get_or_create(&Kind { kind }).inc();
    }

    /// Counts a tunnel that has ended.
    pub fn tunnel_ended(&self, end: TunnelEnd) {
        self.tunnels_ended.get_or_create(&End { end }).inc();
    }

    /// Counts a connection that the app did not accept.
    pub fn unreachable(&self, kind: Unreachable) {
        self.app_unreachable.get_or_create(&Obstacle { kind }).inc();
    }

    /// Counts a message that was not forwarded.
    pub fn fault(&self, side: Side, fault: AnyFault) {
        self.faults.get_or_create(&FaultOf { side, fault }).inc();
    }

    /// The text for a scrape.
    pub fn text(&self, connections: &Arc<Connections>, memory: &Memory, drain: &Drain) -> Result<String, fmt::Error> {
        self.open.set(connections.count() as u64);
        let (size, used) = memory.size_and_used();
        self.memory_size.set(size as u64);
        self.memory_used.set(used as u64);
        let now = drain.phase();
        for phase in DrainPhase::ALL {
            self.draining.get_or_create(&Phase { phase: *phase }).set(u64::from(*phase == now));
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
