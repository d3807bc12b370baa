//! The label values that docs/METRICS.md explains are those of the code.

use crate::app::dial::Unreachable;
use crate::app::sockets::ListenAddress;
use crate::connection::protocol::Protocol;
use crate::memory::Shortage;
use crate::relay::broken::{BrokenBy, ExchangePhase};
use crate::relay::side::Side;
use crate::relay::source::Source;
use crate::retire::drain::DrainPhase;
use crate::tls::fault::TlsFault;
use crate::tls::outcome::CertificateOutcome;
use crate::tunnel::{TunnelEnd, TunnelKind};
use crate::{http1, http2};
use balancing::{BalanceState, Refusal};
use retirement::RetireReason;

/// The rows of a metric's label: every value of the enum.
macro_rules! rows {
    ($metric:literal, $label:literal, $values:ty) => {
        <$values>::ALL
            .iter()
            .map(|value| {
                let sentence = value.sentence().trim_end_matches('.').replace('|', r"\|");
                format!("| `{}` | `{}` | `{}` | {sentence} |\n", $metric, $label, value.label())
            })
            .collect::<String>()
    };
}

fn table() -> String {
    [
        "| metric, without `evenkeel_proxy_` | label | value | meaning |\n|---|---|---|---|\n".to_owned(),
        rows!("connections_opened_total", "protocol", Protocol),
        rows!("connections_opened_total", "source", Source),
        rows!("connections_retired_total", "reason", RetireReason),
        rows!("tunnels_total", "kind", TunnelKind),
        rows!("tunnels_ended_total", "reason", TunnelEnd),
        rows!("exchanges_broken_total", "side", BrokenBy),
        rows!("exchanges_broken_total", "phase", ExchangePhase),
        rows!("faults_total", "side", Side),
        rows!("faults_total", "reason", http1::fault::Fault),
        rows!("faults_total", "reason", http2::fault::Fault),
        rows!("app_unreachable_total", "reason", Unreachable),
        rows!("app_listening", "address", ListenAddress),
        rows!("drain_phase", "phase", DrainPhase),
        rows!("shortages_total", "action", Shortage),
        rows!("tls_handshake_failures_total", "reason", TlsFault),
        rows!("balance_state", "state", BalanceState),
        rows!("balance_refusals_total", "reason", Refusal),
        rows!("certificate_loads_total", "result", CertificateOutcome),
    ]
    .concat()
}

#[test]
fn metrics_md_explains_every_label_value() {
    let command = "cargo test -p recycling-proxy documentation";
    generated_docs::part("docs/METRICS.md", "label values of recycling-proxy", &table(), command);
}
