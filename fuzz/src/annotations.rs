//! Annotations: any text, in any layers.
//!
//! Input: lines of `key: value`; a line `---` begins the next layer. The first layer is the installation's, by names
//! without the prefix, the others are an object's and its template's.

use std::collections::BTreeMap;

use settings::{Layer, SharedSettings, WorkloadSettings};

/// No panic; a refusal names at least one fault, each in one line; what was accepted means the same when it is written
/// out again.
///
/// # Panics
/// Where one of these does not hold.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let layers: Vec<BTreeMap<String, String>> = text.split("---\n").map(layer).collect();
    let mut resolved = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        resolved.push(if index == 0 { Layer::Installation(layer) } else { Layer::Workload(layer) });
    }
    match WorkloadSettings::resolve(&resolved) {
        Ok(None) => {}
        Ok(Some(settings)) => {
            let written = written_out(&settings);
            let defaults = BTreeMap::from([("interception".to_owned(), settings.default_interception.to_string())]);
            let again = WorkloadSettings::resolve(&[Layer::Installation(&defaults), Layer::Workload(&written)]);
            assert_eq!(again, Ok(Some(settings)), "from {written:#?}");
        }
        Err(faults) => {
            assert!(faults.iter().count() > 0, "refused without a fault");
            for fault in &faults {
                assert!(!fault.to_string().is_empty());
            }
        }
    }
}

fn layer(text: &str) -> BTreeMap<String, String> {
    let entries = text.lines().filter_map(|line| line.split_once(": "));
    entries.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn written_out(settings: &WorkloadSettings) -> BTreeMap<String, String> {
    let join = |ports: &[settings::PortRef]| ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let sidecar = &settings.sidecar;
    let mut entries = vec![
        ("balance", settings.balance.to_string()),
        ("drain-timeout", settings.drain_timeout.to_string()),
        ("hold-app", settings.hold_app.to_string()),
        ("proxy-image", sidecar.image.to_string()),
        ("proxy-cpu-request", sidecar.cpu_request.to_string()),
        ("proxy-memory-request", sidecar.memory_request.to_string()),
        ("proxy-cpu-limit", sidecar.cpu_limit.map_or_else(|| "off".to_owned(), |limit| limit.to_string())),
        ("proxy-memory-limit", sidecar.memory_limit.to_string()),
    ];
    let shared = SharedSettings::KEYS.iter().zip(settings.shared.texts());
    entries.extend(shared.map(|((annotation, _), text)| (annotation.name(), text)));
    entries.extend(settings.max_requests.map(|limit| ("max-requests", limit.to_string())));
    entries.extend(settings.ports.as_deref().map(|ports| ("ports", join(ports))));
    entries.extend(settings.interception.map(|interception| ("interception", interception.to_string())));
    if let Some(tls) = &settings.tls {
        entries.push(("tls-secret", tls.secret.to_string()));
        entries.push(("tls-to-app", tls.towards_app.to_string()));
    }
    if !settings.opaque_ports.is_empty() {
        entries.push(("opaque-ports", join(&settings.opaque_ports)));
    }
    entries.into_iter().map(|(name, value)| (format!("evenkeel.dev/{name}"), value)).collect()
}
