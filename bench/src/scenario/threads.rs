//! The throughput and the cost of more threads of the proxy.

use std::fs;

use anyhow::{Context as _, Result};

use crate::accounting::ticks_of_thread;
use crate::bench::Bench;
use crate::lineup;
use crate::load::wrk::Request;
use crate::process::Running;
use crate::report::{Section, Table};
use crate::scenario::cell;
use crate::scenario::cpu::{self, Turn};
use crate::summary::Summary;

const THREADS: [&str; 3] = ["1", "2", "4"];
const CONNECTIONS: u16 = 64;

/// Measures short responses with one, two and four threads, which share all cores with the load generator and the app.
pub(crate) fn measure(bench: &Bench, app: u16) -> Result<Section> {
    eprintln!("threads …");
    let start = |threads: &&str| lineup::start_ours_on_all_cores(bench, app, &["--threads", threads]);
    let proxies: Vec<Running> = THREADS.iter().map(start).collect::<Result<_>>()?;
    let mut rounds: Vec<Vec<(Turn, f64)>> = Vec::new();
    for _ in 0..bench.rounds {
        let turn = |running: &Running| {
            let before = ticks_by_thread(running.pid())?;
            let turn = cpu::turn(bench, running, Request::Get("/"), CONNECTIONS)?;
            Ok((turn, busiest(&before, &ticks_by_thread(running.pid())?)))
        };
        rounds.push(proxies.iter().map(turn).collect::<Result<_>>()?);
    }
    let of = |index: usize, figure: &dyn Fn(&(Turn, f64)) -> f64| {
        Summary::of(rounds.iter().map(|round| figure(&round[index])))
    };
    let ratio = |index: usize| Summary::of(rounds.iter().map(|round| round[index].0.micros / round[0].0.micros));
    let rows = THREADS.iter().enumerate().map(|(index, threads)| {
        vec![
            (*threads).to_owned(),
            cell(of(index, &|(turn, _)| turn.per_second), ""),
            cell(of(index, &|(turn, _)| turn.micros), "µs"),
            cell(ratio(index), ""),
            cell(of(index, &|(_, busiest)| *busiest), ""),
        ]
    });
    Ok(Section {
        title: format!("Threads of the proxy, {CONNECTIONS} connections"),
        how: "128-byte answers; the proxy may use every core, and shares them with the load generator and the app. The last \
              column is the CPU time of the busiest thread, divided by the mean of all threads."
            .to_owned(),
        table: Table {
            columns: vec!["threads", "requests/s", "CPU per request", "× one thread", "busiest thread"],
            rows: rows.collect(),
        },
        verdicts: Vec::new(),
    })
}

/// Returns the ticks that each thread has used so far, by thread id.
fn ticks_by_thread(pid: u32) -> Result<Vec<u64>> {
    let tasks = format!("/proc/{pid}/task");
    let mut threads: Vec<u32> = fs::read_dir(&tasks)
        .with_context(|| format!("reading {tasks}"))?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    threads.sort_unstable();
    threads.iter().map(|thread| ticks_of_thread(pid, *thread)).collect()
}

/// Returns the share of the busiest thread, as a multiple of the mean.
fn busiest(before: &[u64], after: &[u64]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "fewer ticks than 2⁵²")]
    let used: Vec<f64> = after.iter().zip(before).map(|(after, before)| after.saturating_sub(*before) as f64).collect();
    let sum: f64 = used.iter().sum();
    #[expect(clippy::cast_precision_loss, reason = "few threads")]
    let mean = sum / used.len() as f64;
    used.iter().copied().fold(0.0, f64::max) / mean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_thread_is_compared_with_the_mean() {
        assert!((busiest(&[1, 1], &[31, 11]) - 1.5).abs() < 1e-9);
        assert!((busiest(&[5], &[9]) - 1.0).abs() < 1e-9);
    }
}
