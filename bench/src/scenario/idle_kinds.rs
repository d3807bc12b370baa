//! The memory of an idle HTTP/2 connection and of an idle tunnel.

use anyhow::Result;

use crate::accounting;
use crate::bench::Bench;
use crate::lineup::{self, Outcome};
use crate::load::idle::Idle;
use crate::peer::{Peer, Protocol};
use crate::process::Running;
use crate::report::{Section, Table, Verdict};
use crate::scenario::row;
use crate::summary::Summary;

/// The numbers of idle clients at which memory is read. What they share is already allocated at the first.
const CLIENTS: [usize; 2] = [1_000, 4_000];
/// The limits of the memory of an HTTP/2 connection and of a tunnel, KiB.
const GOALS: [f64; 2] = [2.3, 1.7];

/// Measures each peer once, freshly started: memory varies less than time.
pub(crate) fn measure(bench: &Bench, app: u16, http2_app: u16) -> Section {
    eprintln!("memory of HTTP/2 connections and tunnels …");
    let http2 = Peer::HTTP2.map(|peer| {
        let running = lineup::start_in_http2(bench, peer, http2_app);
        (peer, outcome(peer, running.and_then(|running| of_each(&running, Protocol::Http2))))
    });
    let opaque = lineup::start_ours(bench, [app, 0], &["--opaque-ports", &app.to_string()]);
    let tunnel = outcome(Peer::Evenkeel, opaque.and_then(|running| of_each(&running, Protocol::Http1)));
    section(&http2, &tunnel)
}

/// Returns the memory of each connection between the first and the last of the [`CLIENTS`], KiB.
fn of_each(running: &Running, protocol: Protocol) -> Result<f64> {
    let mut clients = Idle::new(protocol, running.port());
    let mut size_with = |count| {
        clients.grow_to(count)?;
        accounting::resident(running.pid())
    };
    let [few, many] = CLIENTS;
    let (before, after) = (size_with(few)?, size_with(many)?);
    #[expect(clippy::cast_precision_loss, reason = "less memory than 2⁵² bytes")]
    let [grown, more] = [after.saturating_sub(before) as f64, (many - few) as f64];
    Ok(grown / more / 1024.0)
}

fn outcome(peer: Peer, size: Result<f64>) -> Outcome<f64> {
    size.map(|size| vec![size]).map_err(|error| {
        eprintln!("\n*** {peer} IS NOT MEASURED: {error:#}\n");
        format!("{error:#}")
    })
}

fn section(http2: &[(Peer, Outcome<f64>)], tunnel: &Outcome<f64>) -> Section {
    let cell = |outcome: &Outcome<f64>| match outcome.as_deref() {
        Ok([size, ..]) => format!("{size:.2} KiB"),
        Ok([]) | Err(_) => "–".to_owned(),
    };
    let rows = http2.iter().map(|(peer, of_http2)| {
        let of_tunnel = if *peer == Peer::Evenkeel { cell(tunnel) } else { "–".to_owned() };
        row(*peer, of_http2, || vec![cell(of_http2), of_tunnel])
    });
    let ours = http2.iter().find(|(peer, _)| *peer == Peer::Evenkeel).map(|(_, outcome)| outcome);
    let kinds = [("a connection of HTTP/2", ours), ("a tunnel", Some(tunnel))];
    let verdicts = kinds.into_iter().zip(GOALS).map(|((kind, outcome), goal)| {
        let size = outcome.and_then(|outcome| Summary::of(outcome.as_deref().ok()?.iter().copied()));
        Verdict::at_most(format!("≤ {goal} KiB for {kind}"), goal, size, "KiB")
    });
    let [few, many] = CLIENTS;
    Section {
        title: "Resident memory of idle HTTP/2 connections and tunnels".to_owned(),
        how: format!(
            "VmRSS of the proxy and its children with {many} idle clients, less that with {few}, for each of the others. \
             They asked once each. The tunnels are connections to an opaque port."
        ),
        table: Table { columns: vec!["", "HTTP/2", "tunnel"], rows: rows.collect() },
        verdicts: verdicts.collect(),
    }
}
