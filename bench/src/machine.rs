//! The machine and the programs of a run, for the head of its report.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result};

use crate::accounting;
use crate::bench::Bench;
use crate::peer::Peer;

/// The share of the cores that other work may use on a quiet machine.
const QUIET: f64 = 0.05;

/// Measures the use of the whole machine from the start of a run to its end.
#[derive(Debug)]
pub(crate) struct Watch(Ticks);

/// The ticks of the cores so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ticks {
    idle: u64,
    all: u64,
    /// By this process, and by its children that have ended.
    ours: u64,
}

impl Watch {
    pub(crate) fn start() -> Result<Self> {
        now().map(Self)
    }

    /// Returns the share of the cores' time that other work has used, 0 to 1. All programs of the run must have ended.
    pub(crate) fn use_by_others(&self) -> Result<f64> {
        let (before, after) = (self.0, now()?);
        let all = after.all - before.all;
        let others = all.saturating_sub(after.idle - before.idle).saturating_sub(after.ours - before.ours);
        #[expect(clippy::cast_precision_loss, reason = "fewer ticks than 2⁵²")]
        Ok(others as f64 / all.max(1) as f64)
    }
}

fn now() -> Result<Ticks> {
    let text = fs::read_to_string("/proc/stat").context("reading what the cores did")?;
    let (idle, all) =
        parse(&text).with_context(|| format!("/proc/stat does not have the format of proc(5): {text}"))?;
    Ok(Ticks { idle, all, ours: accounting::ticks_with_ended_children()? })
}

/// Returns the idle ticks and all ticks of all cores since the machine started.
fn parse(stat: &str) -> Option<(u64, u64)> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?;
    // user nice system idle iowait irq softirq steal; guest time is part of user time already.
    let ticks: Vec<u64> = fields.split_ascii_whitespace().take(8).map_while(|field| field.parse().ok()).collect();
    Some((ticks.get(3)? + ticks.get(4)?, ticks.iter().sum()))
}

/// Returns the report's first lines. `others` is the share of the cores that other work used meanwhile. A machine is
/// described by its cores and its kernel, because figures of two machines are not compared.
pub(crate) fn preface(bench: &Bench, others: f64) -> String {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let kernel = release.split('-').next().unwrap_or_default();
    let mut text = format!(
        "# Results\n\n\
         Made by `make bench` (README.md says how to read it): {} cores, Linux {kernel}; {}. {} rounds of {} s, peers in \
         turn; median (lowest–highest). Ratios are taken within each round. Absolute times are this machine's on that day.\n\n",
        bench.cores.count(),
        bench.cores.sentence(),
        bench.rounds,
        bench.seconds,
    );
    if others > QUIET {
        text += &busy(others);
    }
    for peer in [Peer::Evenkeel, Peer::Nginx, Peer::Nghttpx, Peer::HaProxy, Peer::Envoy] {
        let version = bench.tools.version_of(peer).unwrap_or_else(|error| format!("{error:#}"));
        // Writing to a String cannot fail.
        _ = writeln!(text, "- {peer}: {version}");
    }
    text
}

fn busy(others: f64) -> String {
    let percent = others * 100.0;
    format!(
        "**The machine was busy: other work used {percent:.0} % of its cores meanwhile.** Every switch between processes then finds cold \
         caches, which adds much the same to each request of every proxy: ratios are nearer to 1 than on a quiet machine, \
         and high quantiles say little.\n\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_and_total_ticks_are_read_from_proc_stat() {
        let stat = "cpu  100 5 50 800 20 0 5 20 7 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n";
        assert_eq!(parse(stat), Some((820, 1000)));
        assert_eq!(parse("cpu  100 5\n"), None);
    }
}
