//! The diagnosis of a failed test: the state of its pods, and the last events.

use std::fmt::Write as _;

use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};
use kube::api::{ListParams, ResourceExt as _};

use crate::namespace::TestNamespace;

/// The number of events that are printed.
const EVENTS: usize = 20;

impl TestNamespace {
    /// Returns the pods with their containers, and the last events.
    pub(crate) async fn diagnosis(&self) -> String {
        let mut text = format!("state of namespace {}:", self.name());
        match self.api::<Pod>().list(&ListParams::default()).await {
            Ok(pods) => pods.items.iter().for_each(|pod| describe(pod, &mut text)),
            Err(error) => _ = write!(text, "\n  its pods cannot be listed: {error}"),
        }
        match self.api::<Event>().list(&ListParams::default()).await {
            Ok(events) => describe_last(events.items, &mut text),
            Err(error) => _ = write!(text, "\n  its events cannot be listed: {error}"),
        }
        text
    }
}

fn describe(pod: &Pod, text: &mut String) {
    let status = pod.status.clone().unwrap_or_default();
    let leaving = if pod.metadata.deletion_timestamp.is_some() { ", leaving" } else { "" };
    _ = write!(text, "\n  pod {}: {}{leaving}", pod.name_any(), status.phase.unwrap_or_default());
    let initial = status.init_container_statuses.unwrap_or_default();
    for container in initial.iter().chain(&status.container_statuses.unwrap_or_default()) {
        _ = write!(text, "\n    {}: {}", container.name, state(container));
    }
}

fn state(container: &ContainerStatus) -> String {
    let state = container.state.clone().unwrap_or_default();
    let what = if let Some(waiting) = state.waiting {
        format!("waiting: {} {}", waiting.reason.unwrap_or_default(), waiting.message.unwrap_or_default())
    } else if let Some(ended) = state.terminated {
        format!("ended with {}: {}", ended.exit_code, ended.reason.unwrap_or_default())
    } else {
        String::from("running")
    };
    let readiness = if container.ready { "ready" } else { "not ready" };
    format!("{what}, {readiness}, {} restarts", container.restart_count)
}

fn describe_last(mut events: Vec<Event>, text: &mut String) {
    events.sort_by_key(|event| event.metadata.creation_timestamp.clone());
    for event in events.iter().skip(events.len().saturating_sub(EVENTS)) {
        let about = event.involved_object.name.as_deref().unwrap_or_default();
        let reason = event.reason.as_deref().unwrap_or_default();
        _ = write!(text, "\n  event {about}: {reason}: {}", event.message.as_deref().unwrap_or_default());
    }
}
