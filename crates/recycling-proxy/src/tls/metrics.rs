//! The metrics of TLS.

use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::fault::TlsFault;
use super::outcome::CertificateOutcome;
use crate::metrics::{Counters, counter};
use crate::relay::side::Side;

/// The metrics of TLS. All are zero if the proxy does not terminate TLS.
#[derive(Debug)]
pub(crate) struct Metrics {
    handshakes: Counter,
    failures: Counters<2>,
    loads: Counters<1>,
    expiry: Gauge<u64, AtomicU64>,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let handshakes = counter(registry, "tls_handshakes", "Client connections whose TLS the proxy terminated");
        let help = "Failed TLS handshakes, by peer and reason";
        let failures = Counters::register(registry, "tls_handshake_failures", help, ["side", "reason"]);
        let all = TlsFault::ALL.iter().flat_map(|fault| Side::ALL.iter().map(|side| [side.label(), fault.label()]));
        let help = "Attempts to load a new certificate from its files, by result";
        let loads = Counters::register(registry, "certificate_loads", help, ["result"]);
        let expiry = Gauge::default();
        let help = "When the certificate served to clients expires, in Unix time; 0 without a certificate";
        registry.register("certificate_expiry_timestamp_seconds", help, expiry.clone());
        Self {
            handshakes,
            failures: failures.zeroed(all),
            loads: loads.zeroed(CertificateOutcome::ALL.iter().map(|outcome| [outcome.label()])),
            expiry,
        }
    }

    /// Counts a completed handshake with a client.
    pub(super) fn completed(&self) {
        self.handshakes.inc();
    }

    /// Counts a handshake that failed.
    pub(super) fn failed(&self, side: Side, fault: TlsFault) {
        self.failures.inc([side.label(), fault.label()]);
    }

    /// Counts a result of loading the certificate's files.
    pub(super) fn loaded(&self, outcome: CertificateOutcome) {
        self.loads.inc([outcome.label()]);
    }

    /// Sets when the served certificate expires.
    pub(super) fn expires(&self, end: Option<SystemTime>) {
        let since_epoch = end.and_then(|end| end.duration_since(SystemTime::UNIX_EPOCH).ok());
        self.expiry.set(since_epoch.unwrap_or_default().as_secs());
    }
}
