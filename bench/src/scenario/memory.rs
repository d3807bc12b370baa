//! Resident memory at rest and with idle connections.

use anyhow::Result;

use crate::accounting;
use crate::bench::Bench;
use crate::limits;
use crate::lineup::{self, Outcome};
use crate::load::idle::Idle;
use crate::peer::{Peer, Protocol};
use crate::report::{Section, Table, Verdict};
use crate::scenario::row;
use crate::summary::Summary;

const MIB: f64 = 1024.0 * 1024.0;

/// Numbers of idle clients, with the limit of resident memory in MiB.
const GOALS: [(usize, f64); 3] = [(0, 3.5), (1_000, 4.7), (10_000, 16.0)];

/// Resident memory, MiB, for each of [`steps`].
type Sizes = Vec<f64>;

/// Measures each peer once, freshly started: memory varies less than time.
pub(crate) fn measure(bench: &Bench, app: u16) -> Section {
    eprintln!("memory …");
    let steps = steps();
    let outcomes: Vec<(Peer, Outcome<f64>)> = Peer::HTTP1
        .into_iter()
        .map(|peer| {
            let sizes = of_peer(bench, peer, app, &steps).map_err(|error| format!("{error:#}"));
            if let Err(reason) = &sizes {
                eprintln!("\n*** {peer} IS NOT MEASURED: {reason}\n");
            }
            (peer, sizes)
        })
        .collect();
    let rows = outcomes
        .iter()
        .map(|(peer, outcome)| {
            let sizes = outcome.as_deref().unwrap_or_default();
            row(*peer, outcome, || {
                sizes.iter().map(|size| format!("{size:.1} MiB")).chain([per_connection(sizes, &steps)]).collect()
            })
        })
        .collect();
    let ours = outcomes.iter().find(|(peer, _)| *peer == Peer::Evenkeel).and_then(|(_, sizes)| sizes.as_deref().ok());
    let verdicts = GOALS.iter().zip(&steps).enumerate().map(|(index, (goal, step))| verdict(*goal, *step, ours, index));
    Section {
        title: "Resident memory".to_owned(),
        how: how(&steps),
        table: Table { columns: vec!["", "at rest", "1,000 idle", "most idle", "each"], rows },
        verdicts: verdicts.collect(),
    }
}

fn steps() -> Vec<usize> {
    let most = usize::try_from(limits::relayed_connections()).unwrap_or(usize::MAX);
    GOALS.iter().map(|(clients, _)| (*clients).min(most)).collect()
}

fn of_peer(bench: &Bench, peer: Peer, app: u16, steps: &[usize]) -> Result<Sizes> {
    let running = lineup::start(bench, peer, app, None)?;
    let mut clients = Idle::new(Protocol::Http1, running.port());
    let mut size_with = |count: usize| {
        clients.grow_to(count)?;
        #[expect(clippy::cast_precision_loss, reason = "less memory than 2⁵² bytes")]
        let bytes = accounting::resident(running.pid())? as f64;
        Ok(bytes / MIB)
    };
    steps.iter().map(|count| size_with(*count)).collect()
}

fn per_connection(sizes: &[f64], steps: &[usize]) -> String {
    match (sizes, steps) {
        ([rest, .., most], [.., clients]) if *clients > 0 => {
            #[expect(clippy::cast_precision_loss, reason = "few clients")]
            let each = (most - rest) * 1024.0 / *clients as f64;
            format!("{each:.2} KiB")
        }
        _ => "–".to_owned(),
    }
}

fn verdict((clients, limit): (usize, f64), step: usize, ours: Option<&[f64]>, index: usize) -> Verdict {
    let with = if clients == 0 { "at rest".to_owned() } else { format!("with {clients} idle clients") };
    let goal = format!("≤ {limit} MiB {with}");
    match ours.and_then(|sizes| sizes.get(index)) {
        Some(size) if step < clients && *size <= limit => {
            Verdict::not_measured(goal, format!("{size:.1} MiB with {step}, all that may be opened here"))
        }
        Some(size) => Verdict::at_most(goal, limit, Summary::of([*size]), "MiB"),
        None => Verdict::at_most(goal, limit, None, "MiB"),
    }
}

fn how(steps: &[usize]) -> String {
    let most = steps.last().copied().unwrap_or_default();
    let text = format!(
        "VmRSS of the proxy and its children, freshly started; then with 1,000 and {most} clients that asked once each."
    );
    let goal = GOALS.map(|(clients, _)| clients).into_iter().max().unwrap_or_default();
    if most == goal {
        return text;
    }
    let files = limits::open_files();
    format!("{text} (10,000 need 20,000 descriptors and some; a process may hold {files} here.)")
}
