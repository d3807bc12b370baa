//! Determines whether Services target the proxy of an injected workload, or bypass it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;
use settings::Interception;

use crate::outcome::report::{Report, warning};

/// The default timeout of `sessionAffinity: ClientIP`: three hours, in seconds.
const AFFINITY_SECONDS: u64 = 10_800;

/// The relevant parts of a Service that selects pods.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Never empty.
    selector: Vec<(String, String)>,
    /// Its TCP ports.
    ports: Vec<ServicePort>,
    is_headless: bool,
    /// The timeout of its session affinity, in seconds; `None` without one.
    affinity: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ServicePort {
    /// Its index in `spec.ports`.
    index: usize,
    port: u16,
    target: TargetPort,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum TargetPort {
    /// `targetPort` is not set: it is the number of the Service's own port.
    Same,
    Number(u16),
    Name(String),
}

/// The target of a Service port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// The proxy.
    Proxy,
    /// The app: the Service gives a number, and the proxy has only the port's name.
    Bypass {
        /// The number that the Service gives.
        number: u16,
        /// The name that would target the proxy.
        name: Option<String>,
        /// Whether the Service gives a `targetPort`.
        is_given: bool,
    },
    /// A port that the proxy does not intercept.
    NotIntercepted {
        /// The port.
        number: u16,
        /// Whether a container declares it.
        is_declared: bool,
    },
    /// A name that no container port has.
    Unknown {
        /// The name.
        name: String,
    },
}

/// A port of a Service, and its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRoute<'a> {
    /// The Service.
    pub service: &'a Service,
    /// The port's index in `spec.ports`.
    pub index: usize,
    /// The Service's port.
    pub port: u16,
    /// Its target.
    pub route: Route,
}

/// A remark on a Service that selects the pods of a workload, for its author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceNote {
    /// With `named-port`, a number as target bypasses the proxy.
    Bypass {
        /// The Service.
        service: String,
        /// Its port.
        port: u16,
        /// Where that leads.
        number: u16,
    },
    /// The proxy does not intercept the port.
    NotIntercepted {
        /// The Service.
        service: String,
        /// Its port.
        port: u16,
        /// Where that leads.
        number: u16,
        /// Whether a container declares it.
        is_declared: bool,
        /// The ports that the proxy intercepts.
        taken: BTreeSet<u16>,
    },
    /// Retired connections return to the same pod.
    SessionAffinity {
        /// The Service.
        service: String,
        /// The timeout, in seconds.
        seconds: u64,
    },
}

impl Service {
    /// Reads the `spec` of a Service. Returns `None` if it selects no pods.
    pub fn read(name: &str, spec: &Value) -> Option<Self> {
        let text = |key| spec.get(key).and_then(Value::as_str);
        let selector = spec.get("selector").and_then(Value::as_object).into_iter().flatten();
        let selector: Vec<(String, String)> =
            selector.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect();
        let ports = spec.get("ports").and_then(Value::as_array).into_iter().flatten().enumerate();
        let is_sticky = text("sessionAffinity") == Some("ClientIP");
        let seconds = || spec.pointer("/sessionAffinityConfig/clientIP/timeoutSeconds").and_then(Value::as_u64);
        (!selector.is_empty()).then(|| Self {
            name: name.to_owned(),
            selector,
            ports: ports.filter_map(|(index, port)| ServicePort::read(index, port)).collect(),
            is_headless: text("clusterIP") == Some("None"),
            affinity: is_sticky.then(|| seconds().unwrap_or(AFFINITY_SECONDS)),
        })
    }

    /// Returns whether it selects pods with these labels.
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    }

    /// Returns the total length of its names and labels in bytes.
    pub fn text_len(&self) -> usize {
        let target = |port: &ServicePort| match &port.target {
            TargetPort::Name(name) => name.len(),
            TargetPort::Same | TargetPort::Number(_) => 0,
        };
        let selector: usize = self.selector.iter().map(|(key, value)| key.len() + value.len()).sum();
        self.name.len() + selector + self.ports.iter().map(target).sum::<usize>()
    }

    /// Returns how many labels and ports it has.
    pub fn parts(&self) -> usize {
        self.selector.len() + self.ports.len()
    }
}

impl ServicePort {
    /// Reads a port. Returns `None` for a protocol other than TCP.
    fn read(index: usize, port: &Value) -> Option<Self> {
        let number = |value: &Value| value.as_u64().and_then(|number| u16::try_from(number).ok());
        if !matches!(port.get("protocol").and_then(Value::as_str), None | Some("TCP")) {
            return None;
        }
        let target = match port.get("targetPort") {
            Some(Value::String(name)) => TargetPort::Name(name.clone()),
            Some(value) => number(value).map_or(TargetPort::Same, TargetPort::Number),
            None => TargetPort::Same,
        };
        Some(Self { index, port: port.get("port").and_then(number)?, target })
    }
}

impl Report {
    /// Returns the target of each port of the `services` that select the pods. Declared ports that a setting excludes
    /// from interception are left out if another port targets the proxy.
    pub fn routes<'a>(&self, services: impl IntoIterator<Item = &'a Service>) -> Vec<ServiceRoute<'a>> {
        let mine = services.into_iter().filter(|service| service.selects(&self.target.labels));
        let mut routes: Vec<ServiceRoute<'a>> =
            mine.flat_map(|service| service.ports.iter().map(|port| self.route(service, port))).collect();
        if self.target.is_chosen && routes.iter().any(|it| it.route == Route::Proxy) {
            routes.retain(|it| !matches!(it.route, Route::NotIntercepted { is_declared: true, .. }));
        }
        routes
    }

    /// Returns remarks on the `services` that select the pods.
    pub fn service_notes<'a>(&self, services: impl IntoIterator<Item = &'a Service> + Clone) -> Vec<ServiceNote> {
        let routes = self.routes(services.clone()).into_iter().filter_map(|route| self.note(&route));
        let mine = services.into_iter().filter(|service| service.selects(&self.target.labels));
        routes.chain(mine.filter_map(ServiceNote::of_affinity)).collect()
    }

    /// Returns the remark on a port of a Service; `None` if it targets the proxy, or a name that no port has.
    pub fn note(&self, route: &ServiceRoute<'_>) -> Option<ServiceNote> {
        let (service, port) = (route.service.name.clone(), route.port);
        match route.route {
            Route::Proxy | Route::Unknown { .. } => None,
            Route::Bypass { number, .. } => Some(ServiceNote::Bypass { service, port, number }),
            Route::NotIntercepted { number, is_declared } => {
                Some(ServiceNote::NotIntercepted { service, port, number, is_declared, taken: self.ports.clone() })
            }
        }
    }

    fn route<'a>(&self, service: &'a Service, port: &ServicePort) -> ServiceRoute<'a> {
        let by_name = self.interception == Interception::NamedPort;
        let route = match &port.target {
            TargetPort::Same => self.route_by_number(port.port, false),
            TargetPort::Number(number) => self.route_by_number(*number, true),
            TargetPort::Name(name) => {
                let named = self.target.declared.iter().filter(|(_, declared)| declared.as_ref() == Some(name));
                let numbers: BTreeSet<u16> = named.map(|(number, _)| *number).collect();
                match numbers.first() {
                    None => Route::Unknown { name: name.clone() },
                    // Clients of a headless Service connect to the container's port.
                    Some(number) if service.is_headless && by_name => self.route_by_number(*number, true),
                    Some(_) if !numbers.is_disjoint(&self.ports) => Route::Proxy,
                    Some(number) => Route::NotIntercepted { number: *number, is_declared: true },
                }
            }
        };
        ServiceRoute { service, index: port.index, port: port.port, route }
    }

    fn route_by_number(&self, number: u16, is_given: bool) -> Route {
        let declared = self.target.declared.iter().find(|(declared, _)| *declared == number);
        match (self.ports.contains(&number), self.interception) {
            (true, Interception::NamedPort) => {
                Route::Bypass { number, name: declared.and_then(|(_, name)| name.clone()), is_given }
            }
            (true, Interception::Redirect) => Route::Proxy,
            (false, Interception::Redirect | Interception::NamedPort) => {
                Route::NotIntercepted { number, is_declared: declared.is_some() }
            }
        }
    }
}

impl ServiceNote {
    /// Returns the note on session affinity, if the Service has that.
    pub fn of_affinity(service: &Service) -> Option<Self> {
        service.affinity.map(|seconds| Self::SessionAffinity { service: service.name.clone(), seconds })
    }

    /// Returns a warning of at most 120 characters.
    pub fn warning(&self) -> String {
        warning(&match self {
            Self::Bypass { service, number, .. } => {
                format!("service/{service}: targetPort {number} bypasses the proxy")
            }
            Self::NotIntercepted { service, number, .. } => {
                format!("service/{service}: port {number} is not intercepted")
            }
            Self::SessionAffinity { service, .. } => format!("service/{service}: sessionAffinity undoes recycling"),
        })
    }
}

impl fmt::Display for ServiceNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bypass { service, port, number } => write!(
                f,
                "service/{service} bypasses the proxy: port {port} → {number} is a number, and with named-port only names \
                 lead to the proxy"
            ),
            Self::NotIntercepted { service, port, number, is_declared, taken } => {
                let which =
                    if *is_declared { "which the proxy does not intercept" } else { "which no container declares" };
                let taken: Vec<String> = taken.iter().map(u16::to_string).collect();
                write!(f, "service/{service} port {port} targets {number}, {which}: it intercepts {}", taken.join(", "))
            }
            Self::SessionAffinity { service, seconds } => write!(
                f,
                "service/{service} has sessionAffinity: ClientIP ({seconds} s): retired connections come back to the same pod"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::outcome::report::ServiceTarget;

    fn service(name: &str, change: impl FnOnce(&mut Value)) -> Service {
        let mut spec = json!({"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]});
        change(&mut spec);
        Service::read(name, &spec).unwrap()
    }

    fn to(target: &Value) -> Service {
        service("web", |spec| spec["ports"][0]["targetPort"] = target.clone())
    }

    /// Returns a pod with the ports 8080 (http), 9102 (metrics) and 7000, of which these are taken.
    fn report(taken: &[u16], interception: Interception, is_chosen: bool) -> Report {
        let declared = vec![(8080, Some("http".to_owned())), (9102, Some("metrics".to_owned())), (7000, None)];
        let labels = BTreeMap::from([("app".to_owned(), "web".to_owned()), ("tier".to_owned(), "front".to_owned())]);
        Report {
            ports: taken.iter().copied().collect(),
            interception,
            max_requests: None,
            drain_timeout: "20s".parse().unwrap(),
            target: ServiceTarget { labels, declared, is_chosen },
            notes: Vec::new(),
        }
    }

    fn routes(report: &Report, services: &[Service]) -> Vec<Route> {
        report.routes(services).into_iter().map(|it| it.route).collect()
    }

    #[test]
    fn services_reach_or_bypass_the_proxy_by_their_target_port() {
        let redirect = report(&[8080], Interception::Redirect, false);
        let by_name = report(&[8080], Interception::NamedPort, false);
        let bypass =
            |name: Option<&str>, is_given| Route::Bypass { number: 8080, name: name.map(str::to_owned), is_given };
        let not_taken = |number, is_declared| Route::NotIntercepted { number, is_declared };
        let unknown = || Route::Unknown { name: "htpp".to_owned() };
        for (target, redirected, named) in [
            (json!("http"), Route::Proxy, Route::Proxy),
            (json!(8080), Route::Proxy, bypass(Some("http"), true)),
            (json!("metrics"), not_taken(9102, true), not_taken(9102, true)),
            (json!(7000), not_taken(7000, true), not_taken(7000, true)),
            (json!(9090), not_taken(9090, false), not_taken(9090, false)),
            (json!(null), not_taken(80, false), not_taken(80, false)),
            (json!("htpp"), unknown(), unknown()),
        ] {
            assert_eq!(routes(&redirect, &[to(&target)]), [redirected], "{target}");
            assert_eq!(routes(&by_name, &[to(&target)]), [named], "{target}");
        }
        let same = service("web", |spec| spec["ports"] = json!([{"port": 8080}]));
        assert_eq!(routes(&by_name, std::slice::from_ref(&same)), [bypass(Some("http"), false)]);
        let headless = service("web", |spec| spec["clusterIP"] = json!("None"));
        assert_eq!(routes(&by_name, &[headless]), [bypass(Some("http"), true)]);
    }

    #[test]
    fn ports_that_are_excluded_on_purpose_have_no_note() {
        let metrics = || service("metrics", |spec| spec["ports"] = json!([{"port": 9102, "targetPort": "metrics"}]));
        let chosen = report(&[8080], Interception::Redirect, true);
        assert_eq!(routes(&chosen, &[to(&json!("http")), metrics()]), [Route::Proxy], "by a Service of their own, too");
        assert_eq!(routes(&chosen, &[metrics()]), [Route::NotIntercepted { number: 9102, is_declared: true }]);
        let undeclared = to(&json!(9090));
        assert_eq!(routes(&chosen, &[to(&json!("http")), undeclared]).len(), 2, "nobody has left that out");
    }

    #[test]
    fn services_of_other_pods_and_protocols_are_ignored() {
        let report = report(&[8080], Interception::Redirect, false);
        let both = service("web", |spec| spec["selector"] = json!({"app": "web", "tier": "front"}));
        assert_eq!(routes(&report, &[both]), [Route::Proxy]);
        let other = service("web", |spec| spec["selector"] = json!({"app": "web", "tier": "back"}));
        let udp = service("dns", |spec| spec["ports"] = json!([{"port": 53, "protocol": "UDP"}]));
        assert_eq!(routes(&report, &[other, udp]), []);
        for spec in [json!({}), json!({"selector": {}}), json!({"selector": null, "type": "ExternalName"})] {
            assert_eq!(Service::read("web", &spec), None, "{spec}");
        }
    }

    #[test]
    fn each_route_past_the_proxy_has_its_warning() {
        let longest = "s".repeat(63);
        let services = [
            service(&longest, |spec| spec["ports"] = json!([{"port": 65_535, "targetPort": 8080}])),
            service(&longest, |spec| spec["ports"] = json!([{"port": 80, "targetPort": 65_535}])),
            service(&longest, |spec| spec["sessionAffinity"] = json!("ClientIP")),
        ];
        let notes = report(&[8080], Interception::NamedPort, false).service_notes(&services);
        let said: Vec<String> = notes.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said[0].contains("port 65535 → 8080 is a number"), "{said:?}");
        assert!(said[1].ends_with("targets 65535, which no container declares: it intercepts 8080"), "{said:?}");
        assert!(said[2].contains("ClientIP (10800 s)"), "{said:?}");
        for note in notes {
            assert!(!note.warning().contains('…'), "{}", note.warning());
        }
    }
}
