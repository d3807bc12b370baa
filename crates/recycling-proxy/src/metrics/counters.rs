//! A counter for each combination of label values.

use std::borrow::Cow;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// The value of a label: the label of an enum's variant, or a text such as a port's number.
pub(crate) type Value = Cow<'static, str>;

/// A counter for each combination of the values of `N` labels.
///
/// Values are plain text, most of them labels of enums. So the crates of the enums need no metrics library.
#[derive(Clone, Debug)]
pub(crate) struct Counters<const N: usize> {
    labels: [&'static str; N],
    family: Family<[(&'static str, Value); N], Counter>,
}

impl<const N: usize> Counters<N> {
    /// Registers counters with these `labels`. The suffix `_total` is appended to the name.
    pub(crate) fn register(registry: &mut Registry, name: &str, help: &str, labels: [&'static str; N]) -> Self {
        let family = Family::default();
        registry.register(name, help, family.clone());
        Self { labels, family }
    }

    /// Creates the counters of these values at zero, so that rates include the first event.
    pub(crate) fn zeroed<V: Into<Value>>(self, values: impl IntoIterator<Item = [V; N]>) -> Self {
        for values in values {
            let _ = self.of(values);
        }
        self
    }

    /// Increments the counter of these values, which are in the order of the labels.
    pub(crate) fn inc<V: Into<Value>>(&self, values: [V; N]) {
        self.family.get_or_create(&self.labelled(values)).inc();
    }

    /// Returns the counter of these values.
    pub(crate) fn of<V: Into<Value>>(&self, values: [V; N]) -> Counter {
        self.family.get_or_create(&self.labelled(values)).clone()
    }

    fn labelled<V: Into<Value>>(&self, values: [V; N]) -> [(&'static str, Value); N] {
        let mut values = values.into_iter().map(Into::into);
        self.labels.map(|label| (label, values.next().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn counter_values_belong_to_labels_in_their_order() {
        let mut registry = Registry::default();
        let counters = Counters::register(&mut registry, "faults", "Faults", ["side", "reason"]);
        let counters = counters.zeroed([["app", "slow"]]);
        counters.inc(["client", "slow"]);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        assert!(text.contains("faults_total{side=\"app\",reason=\"slow\"} 0\n"), "{text}");
        assert!(text.contains("faults_total{side=\"client\",reason=\"slow\"} 1\n"), "{text}");
    }
}
