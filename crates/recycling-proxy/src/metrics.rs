//! What modules make their metrics of, in the text format of Prometheus.
//!
//! Each module owns what it counts and registers it by itself, with its name and its help: this one knows none of them.
//! The registry belongs to the process, which hands it to every module as it is made, and to the endpoint that shows
//! it.

mod counters;
mod gauge;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

pub(crate) use self::counters::{Counters, Value};
pub(crate) use self::gauge::{Gauge, PortGauge, StateGauge};

/// The prefix of every name.
const PREFIX: &str = "evenkeel_proxy";

/// Returns a registry with the version of the program.
pub(crate) fn registry() -> Registry {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register("build", "Version of the running program", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
    registry
}

/// Registers a counter without labels. Its name is shown with `_total` behind it.
pub(crate) fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::default();
    registry.register(name, help, counter.clone());
    counter
}
