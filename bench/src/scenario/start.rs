//! The time from a peer's start to its first response.

use crate::bench::Bench;
use crate::lineup::{self, Outcome};
use crate::peer::Peer;
use crate::report::{Section, Table, Verdict};
use crate::scenario::{Figures, cell, row};

/// Starts a new process of each peer in each round.
pub(crate) fn measure(bench: &Bench, app: u16) -> Section {
    eprintln!("start to ready …");
    let mut outcomes: Vec<(Peer, Outcome<f64>)> = Peer::HTTP1.map(|peer| (peer, Ok(Vec::new()))).into();
    for _ in 0..bench.rounds {
        for (peer, outcome) in &mut outcomes {
            let Ok(rounds) = outcome else { continue };
            match lineup::start(bench, *peer, app, None) {
                Ok(running) => rounds.push(running.start_to_ready().as_secs_f64() * 1e3),
                Err(error) => {
                    eprintln!("\n*** {peer} IS NOT MEASURED: {error:#}\n");
                    *outcome = Err(format!("{error:#}"));
                }
            }
        }
    }
    let millis = Figures::take(&outcomes, |millis| *millis);
    let rows = outcomes
        .iter()
        .map(|(peer, outcome)| row(*peer, outcome, || vec![cell(millis.summary(*peer), "ms")]))
        .collect();
    Section {
        title: "Start to ready".to_owned(),
        how: "From the start of the process to the first whole answer through it.".to_owned(),
        table: Table { columns: vec!["", "time"], rows },
        verdicts: vec![Verdict::at_most("≤ 5 ms".to_owned(), 5.0, millis.summary(Peer::Evenkeel), "ms")],
    }
}
