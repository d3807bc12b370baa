//! The status annotation: what an injection took the place of, so that it can be undone exactly.
//!
//! It is written on the pod template, where a change of one byte rolls the workload's pods. So it holds what cannot be known
//! otherwise, and nothing of the version or build that wrote it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::blank::Blanks;
use crate::names::PortNames;

/// The form of the annotation; a record of another form counts as lost.
const VERSION: u32 = 1;

/// The record of one injection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    version: u32,
    /// The resources that were given to the injected containers, to tell them from what somebody has set since.
    pub(crate) resources: Value,
    /// The image that was given to them, for the same; `None` in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) image: Option<String>,
    /// The `tcpSocket` that a probe of ours took the place of, by container and probe.
    #[serde(rename = "tcpSocket", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) sockets: BTreeMap<String, BTreeMap<String, Value>>,
    /// The port of a handler that goes through the proxy now, by container and probe or hook.
    #[serde(rename = "handlerPorts", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) handler_ports: BTreeMap<String, BTreeMap<String, Value>>,
    /// The names of app ports that are the proxy's now.
    #[serde(rename = "portNames", default, skip_serializing_if = "PortNames::is_empty")]
    pub(crate) names: PortNames,
    /// Labels that are ours, each with the author's value; null where there was none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) labels: BTreeMap<String, Value>,
    /// Places that were empty otherwise than by absence.
    #[serde(rename = "blank", default, skip_serializing_if = "Blanks::is_empty")]
    pub(crate) blanks: Blanks,
}

impl Record {
    pub(crate) fn new(resources: Value, image: String, names: PortNames) -> Self {
        Self {
            version: VERSION,
            resources,
            image: Some(image),
            sockets: BTreeMap::new(),
            handler_ports: BTreeMap::new(),
            names,
            labels: BTreeMap::new(),
            blanks: Blanks::default(),
        }
    }

    /// Reads the annotation; `None` where somebody has made something else of it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().filter(|record: &Self| record.version == VERSION)
    }

    /// The annotation: compact, and the same for the same record.
    pub(crate) fn text(&self) -> String {
        // Every key is a string, so there is nothing to fail; an empty record reads as a lost one.
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(crate) fn socket(&self, container: &str, probe: &str) -> Option<&Value> {
        self.sockets.get(container)?.get(probe)
    }

    pub(crate) fn handler_port(&self, container: &str, place: &str) -> Option<&Value> {
        self.handler_ports.get(container)?.get(place)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_what_it_wrote() {
        let mut record = Record::new(json!({"limits": {"cpu": "1"}}), "proxy:1".to_owned(), PortNames::default());
        assert_eq!(record.text(), r#"{"version":1,"resources":{"limits":{"cpu":"1"}},"image":"proxy:1"}"#);
        record.sockets.entry("web".into()).or_default().insert("livenessProbe".into(), json!({"port": "http"}));
        record.blanks.note("initContainers", Some(&json!([])));
        record.names = BTreeMap::from([(8080, "http".to_owned())]).into();
        assert!(record.text().contains(r#""portNames":{"8080":"http"}"#), "{}", record.text());
        assert_eq!(Record::parse(&record.text()), Some(record));
    }

    #[test]
    fn anything_else_counts_as_lost() {
        for text in ["", "{}", "[]", "null", r#"{"version":2,"resources":{}}"#, &"[".repeat(10_000)] {
            assert_eq!(Record::parse(text), None);
        }
    }
}
