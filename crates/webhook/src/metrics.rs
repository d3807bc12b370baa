//! Prometheus metrics of the webhook.

use std::fmt;
use std::time::{Duration, SystemTime};

use daemon::ScrapeResponse;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::event_reason::EventReason;
use crate::verdict::Verdict;

/// In seconds. The review of a usual Deployment takes less than a millisecond; API servers wait for three seconds.
const BUCKETS: [f64; 12] = [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 1.0, 3.0];

/// The metrics of the webhook.
pub struct Metrics {
    registry: Registry,
    reviews: Family<ReviewLabels, Counter>,
    duration: Histogram,
    panics: Counter,
    events: Family<EventLabels, Counter>,
    certificate_expiry: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReviewLabels {
    decision: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    reason: &'static str,
}

impl Metrics {
    /// Registers all metrics.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("evenkeel_webhook");
        let reviews = Family::default();
        registry.register("reviews", "Admission reviews, by decision and reason", reviews.clone());
        let duration = Histogram::new(BUCKETS);
        registry.register_with_unit(
            "review_duration",
            "Time from the last byte of a review's body to its response",
            Unit::Seconds,
            duration.clone(),
        );
        let panics = Counter::default();
        registry.register(
            "panics",
            "Reviews in which the webhook panicked and admitted the object unchanged",
            panics.clone(),
        );
        let events = Family::<EventLabels, Counter>::default();
        for reason in EventReason::ALL {
            drop(events.get_or_create(&EventLabels { reason: reason.label() }));
        }
        registry.register("events", "Events that this replica has published on workloads, by reason", events.clone());
        let certificate_expiry = Gauge::default();
        registry.register_with_unit(
            "certificate_expiry_timestamp",
            "When the served certificate expires, in Unix time; 0 without a certificate",
            Unit::Seconds,
            certificate_expiry.clone(),
        );
        Self { registry, reviews, duration, panics, events, certificate_expiry }
    }

    /// Counts an answered review.
    pub fn reviewed(&self, verdict: Verdict, took: Duration) {
        self.count(verdict);
        self.duration.observe(took.as_secs_f64());
        if verdict == Verdict::Panicked {
            self.panics.inc();
        }
    }

    /// Counts a published Event.
    pub fn event_published(&self, reason: EventReason) {
        self.events.get_or_create(&EventLabels { reason: reason.label() }).inc();
    }

    /// Counts a request that was refused.
    pub fn refused(&self, verdict: Verdict) {
        self.count(verdict);
    }

    fn count(&self, verdict: Verdict) {
        let labels = ReviewLabels { decision: verdict.decision(), reason: verdict.reason() };
        self.reviews.get_or_create(&labels).inc();
    }

    /// Returns all metrics in the format that a scraper accepts, with the expiry of the served certificate.
    ///
    /// # Errors
    /// A metric cannot be written.
    pub fn expose(
        &self,
        certificate_ends: Option<SystemTime>,
        accept: Option<&str>,
    ) -> Result<ScrapeResponse, fmt::Error> {
        let since_epoch = certificate_ends.and_then(|end| end.duration_since(SystemTime::UNIX_EPOCH).ok());
        self.certificate_expiry.set(since_epoch.and_then(|end| i64::try_from(end.as_secs()).ok()).unwrap_or_default());
        daemon::expose(&self.registry, accept)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use inject::{Decision, SkipReason};

    use super::*;

    #[test]
    fn metrics_have_the_names_that_dashboards_use() {
        let metrics = Metrics::new();
        metrics.reviewed(Verdict::Decided(Decision::Skipped, Some(SkipReason::HostNetwork)), Duration::from_millis(2));
        metrics.event_published(EventReason::Missed);
        metrics.reviewed(Verdict::Panicked, Duration::from_millis(2));
        let text = metrics.expose(Some(SystemTime::UNIX_EPOCH + Duration::from_hours(500_000)), None).unwrap().text;
        for line in [
            r#"evenkeel_webhook_reviews_total{decision="skipped",reason="host_network"} 1"#,
            r#"evenkeel_webhook_reviews_total{decision="panicked",reason="none"} 1"#,
            "evenkeel_webhook_review_duration_seconds_count 2",
            "evenkeel_webhook_panics_total 1",
            r#"evenkeel_webhook_events_total{reason="missed"} 1"#,
            r#"evenkeel_webhook_events_total{reason="injected"} 0"#,
            "evenkeel_webhook_certificate_expiry_timestamp_seconds 1800000000",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
