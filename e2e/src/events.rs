//! evenkeel's Events about workloads.

use std::time::Duration;

use anyhow::bail;
use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;
use tokio::time::{Instant, sleep};

use crate::namespace::TestNamespace;

/// Events are published within a second. A replica that has just started may have to wait for the API server first.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(30);

impl TestNamespace {
    /// Waits for an Event with the reason `awaited` on the Deployment `name`, and returns the reasons of all its
    /// Events.
    pub async fn wait_for_event(&self, name: &str, awaited: &str) -> anyhow::Result<Vec<String>> {
        let started = Instant::now();
        loop {
            let reasons = self.reasons(name).await?;
            if reasons.iter().any(|reason| reason == awaited) {
                return Ok(reasons);
            }
            if started.elapsed() > PUBLISHED_WITHIN {
                bail!("no Event {awaited} on {name} in {PUBLISHED_WITHIN:?}, only {reasons:?}");
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Returns the reasons of evenkeel's Events on the Deployment `name`.
    pub async fn reasons(&self, name: &str) -> anyhow::Result<Vec<String>> {
        Ok(self.events(name).await?.into_iter().filter_map(|event| event.reason).collect())
    }

    /// Returns the notes of evenkeel's Events with this `reason` on the Deployment `name`.
    pub async fn notes(&self, name: &str, reason: &str) -> anyhow::Result<Vec<String>> {
        let events = self.events(name).await?.into_iter();
        let with_reason = events.filter(|event| event.reason.as_deref() == Some(reason));
        Ok(with_reason.filter_map(|event| event.message).collect())
    }

    async fn events(&self, name: &str) -> anyhow::Result<Vec<Event>> {
        let mut events = self.api::<Event>().list(&ListParams::default()).await?.items;
        events.retain(|event| {
            event.reporting_component.as_deref() == Some("evenkeel-webhook")
                && event.involved_object.name.as_deref() == Some(name)
        });
        Ok(events)
    }
}
