//! The label values that docs/METRICS.md explains are those of the code.

use std::fs;

use recycling_proxy::dial::Unreachable;
use recycling_proxy::drain::DrainPhase;
use recycling_proxy::metrics::Side;
use recycling_proxy::recycle::RetireReason;
use recycling_proxy::tls::{CertificateOutcome, TlsFault};
use recycling_proxy::tunnel::{TunnelEnd, TunnelKind};
use recycling_proxy::{http1, http2};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/METRICS.md");
const BEGIN: &str = "<!-- label values of recycling-proxy -->\n";
const END: &str = "<!-- end of label values of recycling-proxy -->";

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
        rows!("connections_retired_total", "reason", RetireReason),
        rows!("tunnels_total", "kind", TunnelKind),
        rows!("tunnels_ended_total", "end", TunnelEnd),
        rows!("faults_total", "side", Side),
        rows!("faults_total", "fault", http1::fault::Fault),
        rows!("faults_total", "fault", http2::fault::Fault),
        rows!("app_unreachable_total", "kind", Unreachable),
        rows!("drain_phase", "phase", DrainPhase),
        rows!("tls_handshake_failures_total", "reason", TlsFault),
        rows!("certificate_loads_total", "outcome", CertificateOutcome),
    ]
    .concat()
}

/// Rewrites the table with `UPDATE_DOCS=1`.
#[test]
fn every_label_value_is_explained() {
    let page = fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page marks where the label values begin");
    let (documented, after) = rest.split_once(END).expect("the page marks where the label values end");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(PAGE, format!("{before}{BEGIN}{}{END}{after}", table())).unwrap();
    } else {
        assert_eq!(documented, table(), "run: UPDATE_DOCS=1 cargo test -p recycling-proxy --test documentation");
    }
}
