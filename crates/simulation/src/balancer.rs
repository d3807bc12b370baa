//! A model of the balancer: computes an instruction from reports once a second.

use std::time::Duration;

use retirement::{Instruction, PodChange, RateEstimate, Tolerance};

use crate::pods::Pods;
use crate::scenario::count;

/// How long a pod must have been ready before it counts, in seconds: nodes need time to route traffic to it.
const SETTLING: f64 = 3.0;

/// The report of one pod's proxy.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Report {
    /// The sum of the decayed requests of its connections, marked ones included.
    pub(crate) requests: f64,
    /// The sum of their decayed seconds.
    pub(crate) seconds: f64,
    /// The load in requests per second, with the connection rate of the last instruction as the prior.
    pub(crate) load: f64,
}

/// The state of the balancer.
#[derive(Debug, Default)]
pub(crate) struct Balancer {
    settled: Vec<usize>,
    changed_at: f64,
    reports: Vec<Report>,
}

impl Balancer {
    /// Returns the instruction that follows from the reports of the last second, and stores `reports` for the next
    /// call. Returns `None` with fewer than two settled pods.
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
        let ago = Duration::from_secs_f64((now - self.changed_at).max(0.0));
        let change = PodChange { ago, pods: u32::try_from(self.settled.len()).unwrap_or(u32::MAX) };
        let tolerance = Tolerance::after(change, rate);
        Instruction::new(sum(|report| report.load) / count(known.len()), rate, tolerance).ok()
    }
}

impl Report {
    /// Adds a connection to the report.
    pub(crate) fn add(&mut self, estimate: &RateEstimate, prior: f64) {
        self.requests += estimate.requests();
        self.seconds += estimate.seconds();
        self.load += estimate.rate(prior);
    }
}
