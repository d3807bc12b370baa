//! What the annotations of one workload ask for.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::annotation::{Annotation, PREFIX, STATUS_KEY};
use crate::fault::{Fault, Faults};
use crate::proxy::Off;
use crate::value::{
    CpuQuantity, ImageReference, Interception, InvalidValue, Jitter, LogLevel, MaxRequests, MemoryQuantity, PortRef,
    ProxyProtocol, Span, Switch, Threads,
};

/// Annotations of one place; of two layers that hold the same key the later wins.
#[derive(Clone, Copy, Debug)]
pub enum Layer<'a> {
    /// What the installation gives to all workloads, by annotation name without the prefix.
    Installation(&'a BTreeMap<String, String>),
    /// The annotations of an object; keys of others are passed over.
    Object(&'a BTreeMap<String, String>),
}

/// What a workload that opted in asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadSettings {
    /// Requests after which a connection is retired.
    pub max_requests: MaxRequests,
    /// How far below its limits a connection's own may be drawn.
    pub jitter: Jitter,
    /// The age after which a connection's next response retires it.
    pub max_age: Option<Span>,
    /// The time after which a tunnel is cut.
    pub max_tunnel_age: Option<Span>,
    /// The ports to take; `None` for every declared TCP port.
    pub ports: Option<Vec<PortRef>>,
    /// Taken ports that are never looked into.
    pub opaque_ports: Vec<PortRef>,
    /// How traffic reaches the proxy.
    pub interception: Interception,
    /// The asked-for bound on the drain; the grace period bounds it further.
    pub drain_timeout: Span,
    /// Whether an app container without a `preStop` hook waits for the drain.
    pub hold_app: Switch,
    /// Whether each request tells the app its client's address.
    pub forwarded_for: Switch,
    /// The header that tells the app who its client is.
    pub proxy_protocol: ProxyProtocol,
    /// The sidecar itself.
    pub sidecar: Sidecar,
}

/// The sidecar's image, resources and knobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sidecar {
    /// The image of both injected containers.
    pub image: ImageReference,
    /// CPU request.
    pub cpu_request: CpuQuantity,
    /// Memory request.
    pub memory_request: MemoryQuantity,
    /// CPU limit; never below the request.
    pub cpu_limit: CpuQuantity,
    /// Memory limit; never below the request.
    pub memory_limit: MemoryQuantity,
    /// Worker threads.
    pub threads: Threads,
    /// What is logged.
    pub log_level: LogLevel,
}

impl WorkloadSettings {
    /// Merges the layers, first to last, and parses what comes of it.
    ///
    /// `Ok(None)` where nobody opted in, or `inject: disabled` was said. On failure every fault of every layer is there,
    /// unknown keys of ours with the nearest known one included.
    pub fn resolve(layers: &[Layer<'_>]) -> Result<Option<Self>, Faults> {
        let mut faults = Vec::new();
        let merged = Merged::of(layers, &mut faults);
        let switch = merged.one::<InjectSwitch>(Annotation::Inject, "", &mut faults);
        let opted_in = merged.values.contains_key(&Annotation::MaxRequests);
        let settings = match switch {
            Some(InjectSwitch::Disabled) => return Ok(None),
            None if !opted_in && faults.is_empty() && !merged.values.contains_key(&Annotation::Inject) => {
                return Ok(None);
            }
            None | Some(InjectSwitch::Enabled) => merged.parse(&mut faults),
        };
        Faults::settle(settings, faults).map(Some)
    }
}

/// The winning text of each annotation.
struct Merged<'a> {
    values: BTreeMap<Annotation, &'a str>,
}

impl<'a> Merged<'a> {
    fn of(layers: &[Layer<'a>], faults: &mut Vec<Fault>) -> Self {
        let mut values = BTreeMap::new();
        for layer in layers {
            match layer {
                Layer::Installation(defaults) => {
                    for (name, value) in *defaults {
                        let known = Annotation::of_key(&format!("{PREFIX}{name}"));
                        match known.filter(|annotation| annotation.takes_installation_default()) {
                            Some(annotation) => _ = values.insert(annotation, value.as_str()),
                            None => faults.push(Fault::invalid(
                                format!("the installation's default {name}"),
                                value,
                                "a setting that an installation can give a default for (see the annotation reference)",
                            )),
                        }
                    }
                }
                Layer::Object(annotations) => {
                    for (key, value) in
                        annotations.iter().filter(|(key, _)| key.starts_with(PREFIX) && *key != STATUS_KEY)
                    {
                        match Annotation::of_key(key) {
                            Some(annotation) => _ = values.insert(annotation, value.as_str()),
                            None => faults.push(Fault::invalid(
                                key,
                                value,
                                format!("a known key; the nearest is {}", Annotation::nearest(key)),
                            )),
                        }
                    }
                }
            }
        }
        Self { values }
    }

    fn parse(&self, faults: &mut Vec<Fault>) -> Option<WorkloadSettings> {
        // Every field is parsed before the first `?`, so that no fault hides another.
        if !self.values.contains_key(&Annotation::MaxRequests) {
            faults.push(Fault::missing(Annotation::MaxRequests.key(), "a whole number from 1 to 4294967295"));
        }
        let max_requests = self.one(Annotation::MaxRequests, "", faults);
        let jitter = self.one(Annotation::Jitter, "10%", faults);
        let max_age = self.one::<Off<Span>>(Annotation::MaxAge, "off", faults);
        let max_tunnel_age = self.one::<Off<Span>>(Annotation::MaxTunnelAge, "off", faults);
        let ports = self.list(Annotation::Ports, faults);
        let opaque_ports = self.list(Annotation::OpaquePorts, faults);
        let interception = self.one(Annotation::Interception, "redirect", faults);
        let drain_timeout = self.one(Annotation::DrainTimeout, "20s", faults);
        let hold_app = self.one(Annotation::HoldApp, "on", faults);
        let forwarded_for = self.one(Annotation::ForwardedFor, "off", faults);
        let proxy_protocol = self.one(Annotation::ProxyProtocol, "off", faults);
        let sidecar = self.sidecar(faults);
        Some(WorkloadSettings {
            max_requests: max_requests?,
            jitter: jitter?,
            max_age: max_age?.0,
            max_tunnel_age: max_tunnel_age?.0,
            ports,
            opaque_ports: opaque_ports.unwrap_or_default(),
            interception: interception?,
            drain_timeout: drain_timeout?,
            hold_app: hold_app?,
            forwarded_for: forwarded_for?,
            proxy_protocol: proxy_protocol?,
            sidecar: sidecar?,
        })
    }

    fn sidecar(&self, faults: &mut Vec<Fault>) -> Option<Sidecar> {
        let default_image = concat!("ghcr.io/evenkeel/recycling-proxy:", env!("CARGO_PKG_VERSION"));
        let image = self.one(Annotation::ProxyImage, default_image, faults);
        let cpu_request = self.one(Annotation::ProxyCpuRequest, "10m", faults);
        let memory_request = self.one(Annotation::ProxyMemoryRequest, "16Mi", faults);
        let cpu_limit = self.one(Annotation::ProxyCpuLimit, "1", faults);
        let memory_limit = self.one(Annotation::ProxyMemoryLimit, "128Mi", faults);
        let threads = self.one(Annotation::ProxyThreads, "1", faults);
        let log_level = self.one(Annotation::ProxyLogLevel, "info", faults);
        at_least(Annotation::ProxyCpuLimit, cpu_limit, cpu_request, faults);
        at_least(Annotation::ProxyMemoryLimit, memory_limit, memory_request, faults);
        Some(Sidecar {
            image: image?,
            cpu_request: cpu_request?,
            memory_request: memory_request?,
            cpu_limit: cpu_limit?,
            memory_limit: memory_limit?,
            threads: threads?,
            log_level: log_level?,
        })
    }

    fn one<T: FromStr<Err = InvalidValue>>(
        &self,
        annotation: Annotation,
        default: &str,
        faults: &mut Vec<Fault>,
    ) -> Option<T> {
        let text = self.values.get(&annotation).copied();
        if text.is_none() && default.is_empty() {
            return None;
        }
        parse(annotation, text.unwrap_or(default), faults)
    }

    fn list<T: FromStr<Err = InvalidValue>>(&self, annotation: Annotation, faults: &mut Vec<Fault>) -> Option<Vec<T>> {
        let text = self.values.get(&annotation)?;
        Some(text.split(',').filter_map(|item| parse(annotation, item.trim(), faults)).collect())
    }
}

/// A pod whose limit is below its request is refused by the API server, and with it the rollout.
fn at_least<Q: Ord + ToString>(limit_of: Annotation, limit: Option<Q>, request: Option<Q>, faults: &mut Vec<Fault>) {
    if let (Some(limit), Some(request)) = (limit, request)
        && limit < request
    {
        let expected = format!("at least the request, which is {}", request.to_string());
        faults.push(Fault::invalid(limit_of.key(), limit.to_string(), expected));
    }
}

fn parse<T: FromStr<Err = InvalidValue>>(annotation: Annotation, text: &str, faults: &mut Vec<Fault>) -> Option<T> {
    text.parse().map_err(|InvalidValue(expected)| faults.push(Fault::invalid(annotation.key(), text, expected))).ok()
}

/// The value of the `inject` annotation.
enum InjectSwitch {
    Enabled,
    Disabled,
}

impl FromStr for InjectSwitch {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "enabled" => Ok(Self::Enabled),
            "disabled" => Ok(Self::Disabled),
            _ => Err(InvalidValue("enabled or disabled")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn resolve(annotations: &[(&str, &str)]) -> Result<Option<WorkloadSettings>, Faults> {
        WorkloadSettings::resolve(&[Layer::Object(&map(annotations))])
    }

    #[test]
    fn nobody_asked() {
        assert_eq!(resolve(&[]), Ok(None));
        assert_eq!(resolve(&[("app.kubernetes.io/name", "web"), (STATUS_KEY, "{}")]), Ok(None));
    }

    #[test]
    fn one_annotation_is_enough() {
        let settings = resolve(&[("evenkeel.dev/max-requests", "1000")]).unwrap().unwrap();
        assert_eq!(settings.max_requests.get(), 1000);
        assert_eq!(settings.jitter.percent(), 10);
        assert_eq!(settings.ports, None);
        assert!(settings.hold_app.is_on());
    }

    #[test]
    fn disabled_keeps_the_settings_and_injects_nothing() {
        assert_eq!(resolve(&[("evenkeel.dev/max-requests", "1"), ("evenkeel.dev/inject", "disabled")]), Ok(None));
    }

    #[test]
    fn enabled_alone_lacks_the_limit() {
        let faults = resolve(&[("evenkeel.dev/inject", "enabled")]).unwrap_err();
        assert!(faults.to_string().starts_with("evenkeel.dev/max-requests is missing"), "{faults}");
    }

    #[test]
    fn later_layers_win() {
        let installation = map(&[("jitter", "0%"), ("proxy-cpu-request", "5m")]);
        let own = map(&[("evenkeel.dev/max-requests", "10"), ("evenkeel.dev/jitter", "20%")]);
        let template = map(&[("evenkeel.dev/max-requests", "7")]);
        let layers = [Layer::Installation(&installation), Layer::Object(&own), Layer::Object(&template)];
        let settings = WorkloadSettings::resolve(&layers).unwrap().unwrap();
        assert_eq!((settings.max_requests.get(), settings.jitter.percent()), (7, 20));
        assert_eq!(settings.sidecar.cpu_request.millicpus(), 5);
    }

    #[test]
    fn installation_defaults_alone_do_not_opt_in() {
        let installation = map(&[("jitter", "0%")]);
        assert_eq!(WorkloadSettings::resolve(&[Layer::Installation(&installation)]), Ok(None));
        let installation = map(&[("max-requests", "10")]);
        assert!(WorkloadSettings::resolve(&[Layer::Installation(&installation)]).is_err());
    }

    #[test]
    fn all_faults_together_with_hints() {
        let faults = resolve(&[
            ("evenkeel.dev/max-requests", "-5"),
            ("evenkeel.dev/jiter", "10%"),
            ("evenkeel.dev/ports", "http,70000"),
            ("evenkeel.dev/proxy-memory-limit", "8Mi"),
        ])
        .unwrap_err();
        let sentences: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(sentences.len(), 4, "{sentences:#?}");
        assert!(sentences[0].contains("the nearest is evenkeel.dev/jitter"), "{sentences:#?}");
        assert!(sentences[3].contains("at least the request, which is 16Mi"), "{sentences:#?}");
    }

    #[test]
    fn every_default_is_the_one_that_is_documented() {
        let settings = resolve(&[("evenkeel.dev/max-requests", "1")]).unwrap().unwrap();
        for (annotation, value) in [
            (Annotation::Jitter, settings.jitter.to_string()),
            (Annotation::Interception, settings.interception.to_string()),
            (Annotation::DrainTimeout, settings.drain_timeout.to_string()),
            (Annotation::HoldApp, settings.hold_app.to_string()),
            (Annotation::ForwardedFor, settings.forwarded_for.to_string()),
            (Annotation::ProxyProtocol, settings.proxy_protocol.to_string()),
            (Annotation::ProxyCpuRequest, settings.sidecar.cpu_request.to_string()),
            (Annotation::ProxyMemoryRequest, settings.sidecar.memory_request.to_string()),
            (Annotation::ProxyCpuLimit, settings.sidecar.cpu_limit.to_string()),
            (Annotation::ProxyMemoryLimit, settings.sidecar.memory_limit.to_string()),
            (Annotation::ProxyThreads, settings.sidecar.threads.to_string()),
            (Annotation::ProxyLogLevel, settings.sidecar.log_level.to_string()),
        ] {
            assert_eq!(annotation.default_text(), value, "{annotation}");
        }
    }
}
