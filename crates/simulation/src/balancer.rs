//! The balancer of a run: reports in, an instruction out, once a second.

use std::time::Duration;

use retirement::{Instruction, RateEstimate, Tolerance};

use crate::pods::Pods;
use crate::scenario::count;

/// For how long a pod must have been ready before it counts: ready in the API is not yet programmed on every node.
const SETTLING: f64 = 3.0;

/// What the proxy of one pod reports.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Report {
    /// The estimates of its connections, those that are marked included: requests and seconds in sum.
    pub(crate) requests: f64,
    pub(crate) seconds: f64,
    /// Its load by the connection rate of the last instruction.
    pub(crate) load: f64,
}

/// What the balancer remembers from one second to the next.
#[derive(Debug, Default)]
pub(crate) struct Balancer {
    settled: Vec<usize>,
    changed_at: f64,
    reports: Vec<Report>,
}

impl Balancer {
    /// Returns the instruction from the reports of a second ago, and keeps the present ones for the next.
    pub(crate) fn instruct(&mut self, pods: &Pods, reports: Vec<Report>, now: f64) -> Option<Instruction> {
        let settled: Vec<usize> =
            pods.serving().iter().copied().filter(|pod| now - pods.get(*pod).ready_at >= SETTLING).collect();
        if settled != self.settled {
            self.changed_at = now;
            self.settled = settled;
        }
        let before = std::mem::replace(&mut self.reports, reports);
        let known: Vec<Report> = self.settled.iter().filter_map(|pod| before.get(*pod).copied()).collect();
        if known.len() < 2 {
            return None;
        }
        let sum = |part: fn(&Report) -> f64| known.iter().map(part).sum::<f64>();
        let seconds = sum(|report| report.seconds);
        let rate = if seconds > 0.0 { sum(|report| report.requests) / seconds } else { 0.0 };
        let tolerance = Tolerance::after(Duration::from_secs_f64((now - self.changed_at).max(0.0)), rate);
        Instruction::new(sum(|report| report.load) / count(known.len()), rate, tolerance).ok()
    }
}

impl Report {
    pub(crate) fn add(&mut self, estimate: &RateEstimate, prior: f64) {
        self.requests += estimate.requests();
        self.seconds += estimate.seconds();
        self.load += estimate.rate(prior);
    }
}
