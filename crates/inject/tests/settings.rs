//! Every annotation reaches the pod: a setting that is lost between its annotation and the proxy fails here.

mod workload;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use settings::{Annotation, OptionSpec as _, ProxyOption, SharedSettings};
use workload::{injected, original};

/// What an annotation changes in the pod.
#[derive(Clone, Copy)]
enum Effect {
    /// The proxy gets the value in this option's variable.
    Option(ProxyOption),
    /// Something else, at this place of the pod template's `spec`.
    Place(&'static str),
}

/// Another annotation, with its value.
type Needed = (Annotation, &'static str);

/// Annotations that are not handed on as they are: each with a value that differs from its default, other annotations
/// that it needs, and its effect.
const ROWS: &[(Annotation, &str, &[Needed], Effect)] = &[
    (Annotation::MaxRequests, "7", &[], Effect::Option(ProxyOption::MaxRequests)),
    (Annotation::Balance, "on", &[], Effect::Option(ProxyOption::BalanceKeys)),
    (Annotation::Ports, "7777", &[], Effect::Place("/initContainers/1/env/0/value")),
    (Annotation::OpaquePorts, "8080", &[], Effect::Option(ProxyOption::OpaquePorts)),
    (Annotation::Interception, "named-port", &[], Effect::Option(ProxyOption::App)),
    (Annotation::DrainTimeout, "7s", &[], Effect::Option(ProxyOption::DrainTimeout)),
    (Annotation::HoldApp, "off", &[], Effect::Place("/containers/0/lifecycle")),
    (Annotation::TlsSecret, "web-tls", &[], Effect::Option(ProxyOption::TlsCert)),
    (Annotation::TlsToApp, "on", &[(Annotation::TlsSecret, "web-tls")], Effect::Option(ProxyOption::TlsToApp)),
    (Annotation::ProxyImage, "proxy:7", &[], Effect::Place("/initContainers/2/image")),
    (Annotation::ProxyCpuRequest, "7m", &[], Effect::Place("/initContainers/2/resources/requests/cpu")),
    (Annotation::ProxyMemoryRequest, "7Mi", &[], Effect::Place("/initContainers/2/resources/requests/memory")),
    (Annotation::ProxyCpuLimit, "7", &[], Effect::Place("/initContainers/2/resources/limits/cpu")),
    (Annotation::ProxyMemoryLimit, "777Mi", &[], Effect::Place("/initContainers/2/resources/limits/memory")),
    (Annotation::Inject, "disabled", &[], Effect::Place("/initContainers/2")),
];

/// Returns the row of an annotation. Those of shared settings follow from the table of settings.
fn row(annotation: Annotation) -> (&'static str, &'static [Needed], Effect) {
    if let Some((_, option)) = SharedSettings::KEYS.iter().find(|(shared, _)| *shared == annotation) {
        return (sample(*option), &[], Effect::Option(*option));
    }
    let row = ROWS.iter().find(|(other, ..)| *other == annotation);
    let (_, value, needs, effect) = row.unwrap_or_else(|| panic!("{annotation} needs a row"));
    (value, needs, *effect)
}

/// Returns a value other than the default, by the word for the value.
fn sample(option: ProxyOption) -> &'static str {
    let samples = match option.value_name() {
        "DURATION" => ["7m", "8m"],
        "LEVEL" => ["debug", "warn"],
        "N" => ["2", "3"],
        "PERCENT" => ["7%", "8%"],
        "SWITCH" => ["on", "off"],
        "VERSION" => ["v2", "v1"],
        word => panic!("no sample of {word} for {option:?}"),
    };
    samples.into_iter().find(|sample| option.default() != Some(sample)).unwrap()
}

/// Returns the `spec` of the injected pod template of a workload with these annotations.
fn spec(annotations: &BTreeMap<&str, &str>) -> Value {
    let mut object = original();
    for (key, value) in annotations {
        object["metadata"]["annotations"][*key] = json!(value);
    }
    injected(&object)["spec"]["template"]["spec"].clone()
}

fn variable(spec: &Value, option: ProxyOption) -> Option<Value> {
    let containers = spec["initContainers"].as_array()?;
    let proxy = containers.iter().find(|container| container["name"] == inject::PROXY_CONTAINER)?;
    proxy["env"].as_array()?.iter().find(|variable| variable["name"] == option.env()).cloned()
}

#[test]
fn every_annotation_changes_the_pod() {
    for annotation in Annotation::ALL.iter().copied() {
        let (value, needs, effect) = row(annotation);
        let without: BTreeMap<&str, &str> =
            needs.iter().map(|(annotation, value)| (annotation.key(), *value)).collect();
        let mut with = without.clone();
        with.insert(annotation.key(), value);
        let (without, with) = (spec(&without), spec(&with));
        match effect {
            Effect::Option(option) => {
                let (before, after) = (variable(&without, option), variable(&with, option));
                assert!(after.is_some() && after != before, "{annotation}: {before:?} {after:?}");
                if option.flag() == annotation.name() {
                    assert_eq!(after.unwrap()["value"], value, "{annotation}");
                }
            }
            Effect::Place(place) => assert_ne!(without.pointer(place), with.pointer(place), "{annotation}"),
        }
    }
}
