//! The command line of `evenkeel simulate`.

use std::path::PathBuf;
use std::time::Duration;

use settings::{Jitter, MaxRequests, Span};
use simulation::{Change, Event, Policy, Protocol, Scenario};

/// Simulate how level the load of pods is, for given clients, rates, pods and settings.
///
/// Connections land on a random pod, as kube-proxy places them, and are retired by the same rule as in the proxy.
/// Without --max-requests, --max-age or --balance the command compares no recycling, thresholds and balancing. It
/// recommends the threshold with the fewest reconnects that levels the load within 30 s of the last event as far as
/// thresholds can. The same arguments print the same bytes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  evenkeel simulate --clients 200 --rate 2 --sigma 0.8 --pods 4 --scale-to 8
  evenkeel simulate --clients 40 --rate 1.25 --pods 1 --scale-to 5 --balance --svg scale-out.svg
  evenkeel simulate --protocol http2 --clients 16 --rate 100 --event 30s:rollout --event 90s:scale=3 --max-requests 1000

Exit codes:
  0   the figures were printed
  1   the plot could not be written
  64  the command line cannot be used; every impossible number is named")]
pub(crate) struct Args {
    /// Clients
    #[arg(long, value_name = "N", default_value_t = 200)]
    clients: usize,
    /// Connections of each client over HTTP/1.1; over HTTP/2 a client has one
    #[arg(long, value_name = "N", default_value_t = 1)]
    connections_per_client: usize,
    /// The protocol of the clients
    #[arg(long, value_name = "PROTOCOL", default_value = "http1", value_parser = protocol)]
    protocol: Protocol,
    /// The mean rate of a client, in requests per second
    #[arg(long, value_name = "N", default_value_t = 2.0, allow_negative_numbers = true)]
    rate: f64,
    /// How much the rates of clients differ: σ of a log-normal distribution; 0 makes all equal
    #[arg(long, value_name = "N", default_value_t = 0.0, allow_negative_numbers = true)]
    sigma: f64,
    /// Pods at the start
    #[arg(long, value_name = "N", default_value_t = 4)]
    pods: usize,
    /// Pods after 30 s, short for --event 30s:scale=N [default: 8 where no --event is given]
    #[arg(long, value_name = "N")]
    scale_to: Option<usize>,
    /// The most requests per second that a pod serves; beyond them, its clients wait
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    capacity: Option<f64>,
    /// A change: TIME:scale=PODS, TIME:rollout, or TIME:rate=FACTOR (of one client in ten); may repeat
    #[arg(long = "event", value_name = "EVENT")]
    events: Vec<Event>,
    /// The simulated time [default: 2 minutes after the last event]
    #[arg(long, value_name = "TIME")]
    duration: Option<Span>,
    /// evenkeel.dev/max-requests
    #[arg(long, value_name = "N")]
    max_requests: Option<MaxRequests>,
    /// evenkeel.dev/jitter
    #[arg(long, value_name = "PERCENT", default_value = "10%")]
    pub(super) jitter: Jitter,
    /// evenkeel.dev/max-age
    #[arg(long, value_name = "TIME")]
    max_age: Option<Span>,
    /// evenkeel.dev/balance=on: follow scale events and measured skew
    #[arg(long)]
    balance: bool,
    /// How many times to run, each time with other random numbers: 1 to 1000
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) runs: u32,
    /// The seed of the random numbers
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,
    /// Print JSON instead of a table
    #[arg(long)]
    pub(super) json: bool,
    /// Plot the busiest pod against the mean over time into this file, as SVG
    #[arg(long, value_name = "FILE")]
    pub(super) svg: Option<PathBuf>,
}

fn protocol(text: &str) -> Result<Protocol, String> {
    match text {
        "http1" => Ok(Protocol::Http1),
        "http2" => Ok(Protocol::Http2),
        _ => Err("expected http1 or http2 (gRPC is HTTP/2)".into()),
    }
}

impl Args {
    /// Returns the scenario that the arguments describe; its numbers are not checked yet.
    pub(super) fn scenario(&self) -> Scenario {
        let mut events = self.events.clone();
        let scale_to = self.scale_to.or(if events.is_empty() { Some(8) } else { None });
        events.extend(scale_to.map(|pods| Event { at: Duration::from_secs(30), change: Change::Scale(pods) }));
        let mut scenario = Scenario {
            clients: self.clients,
            pool: self.connections_per_client,
            protocol: self.protocol,
            rate: self.rate,
            sigma: self.sigma,
            pods: self.pods,
            capacity: self.capacity,
            events,
            duration: Duration::ZERO,
        };
        let after = scenario.last_event().saturating_add(Duration::from_mins(2));
        scenario.duration = self.duration.map_or(after, Span::get);
        scenario
    }

    /// Returns the policy that the arguments ask for: nothing, where they ask for none.
    pub(super) fn policy(&self) -> Policy {
        let jitter = if self.max_requests.is_some() || self.max_age.is_some() { self.jitter } else { Jitter::NONE };
        Policy { max_requests: self.max_requests, jitter, max_age: self.max_age, balance: self.balance }
    }
}
