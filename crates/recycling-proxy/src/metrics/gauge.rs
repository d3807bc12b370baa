//! Gauges that are read when metrics are collected: their modules keep the values.

use std::fmt;

use prometheus_client::encoding::{EncodeGaugeValue, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

/// A gauge whose value is read at each scrape.
pub(crate) struct Gauge<F>(F);

impl<V: EncodeGaugeValue, F: Fn() -> V + Send + Sync + 'static> Gauge<F> {
    /// Registers a gauge that shows what `read` returns at each scrape.
    pub(crate) fn register(registry: &mut Registry, name: &str, help: &str, read: F) {
        registry.register(name, help, Self(read));
    }
}

impl<F> fmt::Debug for Gauge<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gauge")
    }
}

impl<V: EncodeGaugeValue, F: Fn() -> V> EncodeMetric for Gauge<F> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_gauge(&(self.0)())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

/// A gauge for each port of the app, whose values are read at each scrape.
pub(crate) struct PortGauge<F> {
    ports: Vec<u16>,
    read: F,
}

impl<F: Fn(u16) -> u64 + Send + Sync + 'static> PortGauge<F> {
    /// Registers a gauge for each of `ports` that shows what `read` returns for it at each scrape.
    pub(crate) fn register(
        registry: &mut Registry,
        name: &str,
        help: &str,
        ports: impl IntoIterator<Item = u16>,
        read: F,
    ) {
        registry.register(name, help, Self { ports: ports.into_iter().collect(), read });
    }
}

impl<F> fmt::Debug for PortGauge<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PortGauge").field("ports", &self.ports).finish_non_exhaustive()
    }
}

impl<F: Fn(u16) -> u64> EncodeMetric for PortGauge<F> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for port in &self.ports {
            encoder.encode_family(&[("port", port.to_string())])?.encode_gauge(&(self.read)(*port))?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

/// A gauge for each of several states: 1 for the current one, 0 for the others.
pub(crate) struct StateGauge<F> {
    label: &'static str,
    states: Vec<&'static str>,
    present: F,
}

impl<F: Fn() -> &'static str + Send + Sync + 'static> StateGauge<F> {
    /// Registers a gauge for each of `states`, the values of `label`; `present` returns one of them.
    pub(crate) fn register(
        registry: &mut Registry,
        name: &str,
        help: &str,
        label: &'static str,
        states: impl IntoIterator<Item = &'static str>,
        present: F,
    ) {
        registry.register(name, help, Self { label, states: states.into_iter().collect(), present });
    }
}

impl<F> fmt::Debug for StateGauge<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateGauge").field("label", &self.label).finish_non_exhaustive()
    }
}

impl<F: Fn() -> &'static str> EncodeMetric for StateGauge<F> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let present = (self.present)();
        for state in &self.states {
            encoder.encode_family(&[(self.label, *state)])?.encode_gauge(&u64::from(*state == present))?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn gauges_are_read_at_each_scrape() {
        let mut registry = Registry::with_prefix("p");
        let value = Arc::new(AtomicU64::new(0));
        let read = Arc::clone(&value);
        Gauge::register(&mut registry, "open", "Open now", move || read.load(Ordering::Relaxed));
        let read = Arc::clone(&value);
        let present = move || if read.load(Ordering::Relaxed) == 0 { "serving" } else { "draining" };
        StateGauge::register(&mut registry, "phase", "Phase", "phase", ["serving", "draining"], present);
        for (now, serving, draining) in [(0, 1, 0), (7, 0, 1)] {
            value.store(now, Ordering::Relaxed);
            let mut text = String::new();
            encode(&mut text, &registry).unwrap();
            assert!(text.contains(&format!("# TYPE p_open gauge\np_open {now}\n")), "{text}");
            assert!(text.contains(&format!("p_phase{{phase=\"serving\"}} {serving}\n")), "{text}");
            assert!(text.contains(&format!("p_phase{{phase=\"draining\"}} {draining}\n")), "{text}");
        }
    }
}
