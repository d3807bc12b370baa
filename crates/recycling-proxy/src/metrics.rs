//! Counters and gauges in the text format of Prometheus.
//!
//! Each module owns its metrics, and registers them with their names and help. This module depends on none of them.

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

/// Registers a counter without labels. The suffix `_total` is appended to the name.
pub(crate) fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::default();
    registry.register(name, help, counter.clone());
    counter
}
