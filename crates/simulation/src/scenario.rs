//! The parameters of a run: clients, pods and events.

use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

/// How a client distributes concurrent requests over connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1: a pool of connections; each carries the same share of the client's requests.
    Http1,
    /// HTTP/2 and gRPC: one connection carries all requests of a client as streams.
    Http2,
}

/// A Service, its clients and the events of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// The number of clients, 1 to 1,000,000.
    pub clients: usize,
    /// The number of connections per client over HTTP/1.1, 1 to 10,000. Over HTTP/2 a client has one.
    pub pool: usize,
    /// The protocol of all clients.
    pub protocol: Protocol,
    /// The mean rate of a client in requests per second, above 0.
    pub rate: f64,
    /// σ of the log-normal distribution of the clients' rates, 0 to 3. With 0 all rates are equal.
    pub sigma: f64,
    /// The number of ready pods at the start, 1 to 10,000.
    pub pods: usize,
    /// The most requests per second that a pod serves; `None` is unlimited. Clients of an overloaded pod wait.
    pub capacity: Option<f64>,
    /// The events, in any order.
    pub events: Vec<Event>,
    /// The simulated time, 1 s to 24 h.
    pub duration: Duration,
}

/// A change at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event {
    /// The time since the start of the run.
    pub at: Duration,
    /// The change.
    pub change: Change,
}

/// A change of the pods or the clients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// The workload is scaled to this many pods. New pods are ready at once; the newest terminate first.
    Scale(usize),
    /// Every pod is replaced: each second one new pod becomes ready, and one old pod terminates.
    Rollout,
    /// The rate of one client in ten, and of at least one, is multiplied by this factor.
    Rate(f64),
}

/// A parameter of a scenario that is out of range.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{what} is {value}: expected {expected}")]
pub struct Invalid {
    what: &'static str,
    value: String,
    expected: &'static str,
}

impl Scenario {
    /// Returns the connections of all clients together.
    pub fn connections(&self) -> usize {
        self.clients * self.pool_size()
    }

    pub(crate) const fn pool_size(&self) -> usize {
        match self.protocol {
            Protocol::Http1 => self.pool,
            Protocol::Http2 => 1,
        }
    }

    /// Returns the time of the last event, or the start.
    pub fn last_event(&self) -> Duration {
        self.events.iter().map(|event| event.at).max().unwrap_or_default()
    }

    /// Returns an error for each parameter that is out of range; none if the scenario can be run.
    pub fn faults(&self) -> Vec<Invalid> {
        let within = |what, value: f64, low: f64, high: f64, expected| {
            let valid = value.is_finite() && value >= low && value <= high;
            (!valid).then(|| Invalid { what, value: value.to_string(), expected })
        };
        let mut faults: Vec<Invalid> = [
            within("the number of clients", count(self.clients), 1.0, 1e6, "a number from 1 to 1,000,000"),
            within("the number of connections of a client", count(self.pool), 1.0, 1e4, "a number from 1 to 10,000"),
            within("the rate", self.rate, 1e-6, 1e6, "a number above 0, in requests per second, up to 1,000,000"),
            within("sigma", self.sigma, 0.0, 3.0, "a number from 0 (all clients are equal) to 3"),
            within("the number of pods", count(self.pods), 1.0, 1e4, "a number from 1 to 10,000"),
            self.capacity.and_then(|capacity| {
                within("the capacity of a pod", capacity, 1e-6, 1e9, "a number above 0, in requests per second")
            }),
            within("the duration", self.duration.as_secs_f64(), 1.0, 86_400.0, "a time from 1s to 24h"),
        ]
        .into_iter()
        .flatten()
        .collect();
        for event in &self.events {
            faults.extend(event.fault(self.duration));
        }
        faults
    }
}

impl Event {
    fn fault(&self, duration: Duration) -> Option<Invalid> {
        if self.at >= duration {
            let value = format!("{} s", self.at.as_secs_f64());
            return Some(Invalid { what: "the time of an event", value, expected: "a time within the duration" });
        }
        match self.change {
            Change::Scale(pods) if !(1..=10_000).contains(&pods) => Some(Invalid {
                what: "the number of pods after an event",
                value: pods.to_string(),
                expected: "a number from 1 to 10,000",
            }),
            Change::Rate(factor) if !(factor.is_finite() && (0.0..=1e6).contains(&factor)) => Some(Invalid {
                what: "the factor of a rate",
                value: factor.to_string(),
                expected: "a number from 0 to 1,000,000",
            }),
            Change::Scale(_) | Change::Rollout | Change::Rate(_) => None,
        }
    }
}

impl FromStr for Event {
    type Err = String;

    /// Parses `30s:scale=8`, `30s:rollout` or `30s:rate=5`.
    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "'{text}' is no event: expected TIME:scale=PODS, TIME:rollout or TIME:rate=FACTOR, such as 30s:scale=8"
            )
        };
        let (at, change) = text.split_once(':').ok_or_else(expected)?;
        let at = at.parse::<settings::Span>().map_err(|_| expected())?.get();
        let change = match change.split_once('=') {
            None if change == "rollout" => Change::Rollout,
            Some(("scale", pods)) => Change::Scale(pods.parse().map_err(|_| expected())?),
            Some(("rate", factor)) => Change::Rate(factor.parse().map_err(|_| expected())?),
            _ => return Err(expected()),
        };
        Ok(Self { at, change })
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2⁵²")]
pub(crate) const fn count(n: usize) -> f64 {
    n as f64
}
