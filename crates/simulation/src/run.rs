//! One run of a scenario.

use std::time::Duration;

use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rand_distr::{Distribution as _, LogNormal, Poisson};
use rand_pcg::Pcg64Mcg;
use retirement::{
    Candidate, ConnectionState, Elapsed, Excess, Instruction, Limits, RateEstimate, RetireReason, cap, shed,
};

use crate::balancer::{Balancer, Report};
use crate::pods::Pods;
use crate::policy::Policy;
use crate::scenario::{Change, Event, Scenario, count};

/// The simulated steps per second.
const STEPS: u32 = 10;

/// One run, second by second.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its seconds in order.
    pub seconds: Vec<Second>,
}

/// A second of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Second {
    /// The offered load of the busiest pod divided by the mean, at the end of the second; 1 is level.
    pub peak_to_mean: f64,
    /// The number of served requests.
    pub requests: u64,
    /// The number of retired connections by reason, in the order of [`RetireReason::ALL`].
    pub retired: [u32; 4],
    /// The number of pods that accept new connections.
    pub pods: usize,
}

impl Second {
    /// Returns how many connections were retired for any reason. Each reconnects.
    pub fn reconnects(&self) -> u32 {
        self.retired.iter().sum()
    }
}

/// A client connection. When it is retired, its reconnect takes its place.
#[derive(Debug)]
struct Connection {
    rate: f64,
    pod: usize,
    opened_at: f64,
    limits: Limits,
    requests: u32,
    /// The requests since the estimate was last updated.
    recent: u32,
    estimate: RateEstimate,
    marked: bool,
}

struct State<'a> {
    scenario: &'a Scenario,
    policy: Policy,
    random: Pcg64Mcg,
    pods: Pods,
    connections: Vec<Connection>,
    balancer: Balancer,
    /// The mean rate of a connection in the last instruction; 0 before the first.
    prior: f64,
    second: Second,
}

/// Runs a scenario under a policy. The same arguments give the same run.
///
/// # Panics
/// Panics if the scenario has [faults](Scenario::faults).
pub fn simulate(scenario: &Scenario, policy: Policy, seed: u64) -> Run {
    assert!(scenario.faults().is_empty(), "the scenario cannot be run: {:?}", scenario.faults());
    let mut state = State::new(scenario, policy, seed);
    let mut events = scenario.events.clone();
    events.sort_by_key(|event| event.at);
    let mut events = events.into_iter().peekable();
    let whole = scenario.duration.as_secs();
    let mut seconds = Vec::with_capacity(usize::try_from(whole).unwrap_or_default());
    for second in 0..u32::try_from(whole).unwrap_or(u32::MAX) {
        for step in 0..STEPS {
            let now = f64::from(second) + f64::from(step) / f64::from(STEPS);
            while let Some(event) = events.next_if(|event| event.at.as_secs_f64() <= now) {
                state.change(event, now);
            }
            state.step(now);
        }
        seconds.push(state.end_second(f64::from(second) + 1.0));
    }
    Run { seconds }
}

impl<'a> State<'a> {
    fn new(scenario: &'a Scenario, policy: Policy, seed: u64) -> Self {
        let mut state = Self {
            scenario,
            policy,
            random: Pcg64Mcg::seed_from_u64(seed),
            pods: Pods::new(scenario.pods),
            connections: Vec::with_capacity(scenario.connections()),
            balancer: Balancer::default(),
            prior: 0.0,
            second: Second { peak_to_mean: 1.0, requests: 0, retired: [0; 4], pods: scenario.pods },
        };
        // exp(μ + σ²/2) is the mean of a log-normal distribution.
        let mu = scenario.rate.ln() - scenario.sigma * scenario.sigma / 2.0;
        let rates = LogNormal::new(mu, scenario.sigma).ok();
        for _ in 0..scenario.clients {
            let drawn = rates.map_or(scenario.rate, |rates| rates.sample(&mut state.random));
            let rate = if scenario.sigma > 0.0 { drawn } else { scenario.rate };
            for _ in 0..scenario.pool_size() {
                let connection = state.connect(rate / count(scenario.pool_size()), 0.0);
                state.connections.push(connection);
            }
        }
        state
    }

    /// Returns a new connection to a random pod that accepts connections.
    fn connect(&mut self, rate: f64, now: f64) -> Connection {
        let serving = self.pods.serving();
        let pod = serving[self.random.random_range(0..serving.len())];
        Connection {
            rate,
            pod,
            opened_at: now,
            limits: self.policy.draw(self.random.next_u32()),
            requests: 0,
            recent: 0,
            estimate: RateEstimate::default(),
            marked: false,
        }
    }

    fn change(&mut self, event: Event, now: f64) {
        match event.change {
            Change::Scale(pods) => self.pods.scale(pods, now),
            Change::Rollout => self.pods.begin_rollout(),
            Change::Rate(factor) => {
                let clients = (self.scenario.clients / 10).max(1);
                for connection in self.connections.iter_mut().take(clients * self.scenario.pool_size()) {
                    connection.rate *= factor;
                }
            }
        }
    }

    /// Serves the requests of a tenth of a second. They arrive as a Poisson process; a pod whose offered load is above
    /// its capacity serves the same fraction of each connection's requests.
    fn step(&mut self, now: f64) {
        let served = self.served_fractions();
        for i in 0..self.connections.len() {
            let Connection { rate, pod, .. } = self.connections[i];
            let expected = rate * served[pod] / f64::from(STEPS);
            let requests = Poisson::new(expected).map_or(0.0, |arrivals| arrivals.sample(&mut self.random));
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a Poisson number of some rate"
            )]
            for _ in 0..requests as u64 {
                self.serve(i, now);
            }
        }
    }

    fn served_fractions(&self) -> Vec<f64> {
        let Some(capacity) = self.scenario.capacity else { return vec![1.0; self.pods.len()] };
        let offered = self.offered();
        offered.iter().map(|offered| if *offered > capacity { capacity / offered } else { 1.0 }).collect()
    }

    /// Returns the offered load of each pod, in requests per second.
    fn offered(&self) -> Vec<f64> {
        let mut offered = vec![0.0; self.pods.len()];
        for connection in &self.connections {
            offered[connection.pod] += connection.rate;
        }
        offered
    }

    /// Serves a request. Its response may retire the connection; then the client reconnects.
    fn serve(&mut self, i: usize, now: f64) {
        self.second.requests += 1;
        let connection = &mut self.connections[i];
        connection.requests += 1;
        connection.recent += 1;
        let state = ConnectionState {
            age: Duration::from_secs_f64((now - connection.opened_at).max(0.0)),
            draining: self.pods.get(connection.pod).draining,
            marked: connection.marked,
            uncounted: 0,
        };
        if let Some(reason) = connection.limits.verdict(connection.requests, state) {
            let rate = connection.rate;
            self.connections[i] = self.connect(rate, now);
            for (known, retired) in RetireReason::ALL.iter().zip(&mut self.second.retired) {
                *retired += u32::from(*known == reason);
            }
        }
    }

    fn end_second(&mut self, now: f64) -> Second {
        self.pods.replace_one(now);
        if self.policy.balance {
            self.balance(now);
        }
        let offered = self.offered();
        let loads: Vec<f64> = self.pods.serving().iter().map(|pod| offered[*pod]).collect();
        let mean = loads.iter().sum::<f64>() / count(loads.len());
        let peak = loads.iter().copied().fold(0.0, f64::max);
        self.second.peak_to_mean = if mean > 0.0 { peak / mean } else { 1.0 };
        self.second.pods = loads.len();
        let next = Second { peak_to_mean: 1.0, requests: 0, retired: [0; 4], pods: loads.len() };
        std::mem::replace(&mut self.second, next)
    }

    /// Updates every proxy's estimates, and applies the instruction that follows from the reports of the last second.
    fn balance(&mut self, now: f64) {
        let mut reports = vec![Report::default(); self.pods.len()];
        for connection in &mut self.connections {
            connection.estimate.advance(std::mem::take(&mut connection.recent), Elapsed::new(Duration::from_secs(1)));
            reports[connection.pod].add(&connection.estimate, self.prior);
        }
        let Some(instruction) = self.balancer.instruct(&self.pods, reports, now) else { return };
        self.prior = instruction.connection_rate();
        self.obey(&instruction);
    }

    fn obey(&mut self, instruction: &Instruction) {
        let mut candidates: Vec<Vec<Candidate<usize>>> = vec![Vec::new(); self.pods.len()];
        let mut connections = vec![0; self.pods.len()];
        for (id, connection) in self.connections.iter().enumerate() {
            connections[connection.pod] += 1;
            if !connection.marked {
                let rate = connection.estimate.rate(instruction.connection_rate());
                candidates[connection.pod].push(Candidate { id, rate });
            }
        }
        for (pod, candidates) in candidates.iter_mut().enumerate() {
            let unmarked = candidates.iter().map(|candidate| candidate.rate).sum();
            if self.pods.get(pod).draining {
                continue;
            }
            let Some(excess) = Excess::of(unmarked, instruction) else { continue };
            let random = &mut self.random;
            for id in shed(candidates, excess, cap(connections[pod]), |n| random.random_range(0..n)) {
                self.connections[id].marked = true;
            }
        }
    }
}
