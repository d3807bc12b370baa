//! The status annotation: the record of what an injection replaced, so that it can be removed byte for byte.
//!
//! It is on the pod template, where a change of one byte causes a rollout. So it contains only what cannot be derived
//! otherwise, and not the version that wrote it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json::empty_form::EmptyForms;
use crate::proxy_ports::port_names::PortNames;

/// The version of the annotation's format. Records of another version are ignored.
const VERSION: u32 = 1;

/// The record of one injection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    version: u32,
    /// The resources of the injected containers. If the present ones differ, the author has set them.
    pub(crate) resources: Value,
    /// The image of the injected containers; `None` in records of earlier versions. If the present one differs, another
    /// webhook has set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) image: Option<String>,
    /// The `tcpSocket` that an earlier version replaced, by container and probe.
    #[serde(rename = "tcpSocket", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) sockets: BTreeMap<String, BTreeMap<String, Value>>,
    /// The ports of rewritten handlers, by container and probe or hook.
    #[serde(rename = "handlerPorts", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) handler_ports: BTreeMap<String, BTreeMap<String, Value>>,
    /// The names of app ports that were moved to the proxy.
    #[serde(rename = "portNames", default, skip_serializing_if = "PortNames::is_empty")]
    pub(crate) names: PortNames,
    /// The injected labels, each with the author's value; null if there was none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) labels: BTreeMap<String, Value>,
    /// The fields that were null or empty instead of absent.
    #[serde(rename = "blank", default, skip_serializing_if = "EmptyForms::is_empty")]
    pub(crate) empty_forms: EmptyForms,
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
            empty_forms: EmptyForms::default(),
        }
    }

    /// Parses the annotation; `None` if it is not a record of this version.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().filter(|record: &Self| record.version == VERSION)
    }

    /// Returns the annotation: compact, and the same bytes for the same record.
    pub(crate) fn text(&self) -> String {
        // All keys are strings, so this cannot fail; an empty text counts as no record.
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
    fn a_status_record_survives_a_round_trip() {
        let mut record = Record::new(json!({"limits": {"cpu": "1"}}), "proxy:1".to_owned(), PortNames::default());
        assert_eq!(record.text(), r#"{"version":1,"resources":{"limits":{"cpu":"1"}},"image":"proxy:1"}"#);
        record.sockets.entry("web".into()).or_default().insert("livenessProbe".into(), json!({"port": "http"}));
        record.empty_forms.record("initContainers", Some(&json!([])));
        record.names = BTreeMap::from([(8080, "http".to_owned())]).into();
        assert!(record.text().contains(r#""portNames":{"8080":"http"}"#), "{}", record.text());
        assert_eq!(Record::parse(&record.text()), Some(record));
    }

    #[test]
    fn an_unreadable_status_counts_as_absent() {
        for text in ["", "{}", "[]", "null", r#"{"version":2,"resources":{}}"#, &"[".repeat(10_000)] {
            assert_eq!(Record::parse(text), None);
        }
    }
}
