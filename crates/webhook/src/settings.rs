//! The settings of the process: raw arguments become types here, and all faults are reported together.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use inject::WorkloadKind;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::Selector;
use settings::{
    Annotation, Fault, Faults, InvalidValue, Layer, LogLevel, ObjectName, PREFIX, SocketAddress, Span, Switch,
    WorkloadSettings,
};

use crate::arguments::RunArguments;
use crate::certificates::Names;
use crate::installation::BalanceKeysConfigMap;

/// The settings of `evenkeel-webhook run`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The address for reviews, over TLS.
    pub listen: SocketAddr,
    /// The address for metrics and health, in plain HTTP.
    pub admin: SocketAddr,
    /// The source of the served certificate.
    pub tls: Tls,
    /// Whether namespaces are read from the API server.
    pub read_namespaces: bool,
    /// The kinds of workload that Events are about.
    pub events: Vec<WorkloadKind>,
    /// The namespaces that reviews come from.
    pub namespaces: Selector,
    /// The installation's defaults, by annotation name without the prefix.
    pub defaults: BTreeMap<String, String>,
    /// Where the balancer's public keys are; `None` without a balancer.
    pub balance_keys: Option<BalanceKeysConfigMap>,
    /// How long reviews are still answered after SIGTERM.
    pub shutdown_delay: Duration,
    /// The log level.
    pub log_level: LogLevel,
}

/// The source of the served certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// It is issued here, and published in the cluster.
    Own(Names),
    /// It comes from files.
    Files {
        /// The chain in PEM, the server's own certificate first.
        certificate: PathBuf,
        /// Its key in PEM.
        key: PathBuf,
    },
}

impl Settings {
    /// Parses arguments. On failure it returns every fault.
    pub fn parse(arguments: &RunArguments) -> Result<Self, Faults> {
        let mut faults = Vec::new();
        let faults_of = &mut faults;
        // Every field is parsed before the first `?`, so that no fault hides another.
        let listen = one::<SocketAddress>("listen", &arguments.listen, faults_of);
        let admin = one::<SocketAddress>("admin", &arguments.admin, faults_of);
        let tls = tls(arguments, faults_of);
        let read_namespaces = match &arguments.read_namespaces {
            Some(text) => one::<Switch>("read-namespaces", text, faults_of).map(Switch::is_on),
            None => tls.as_ref().map(|tls| matches!(tls, Tls::Own(_))),
        };
        let events = events(&arguments.events, faults_of);
        let namespaces = one::<Namespaces>("namespace-selector", &arguments.namespace_selector, faults_of);
        let defaults = defaults(&arguments.default, faults_of);
        let balance_keys = balance_keys(arguments, faults_of);
        let shutdown_delay = one::<Span>("shutdown-delay", &arguments.shutdown_delay, faults_of);
        let log_level = one("log-level", &arguments.log_level, faults_of);
        let settings = || {
            Some(Self {
                listen: listen?.get(),
                admin: admin?.get(),
                tls: tls?,
                read_namespaces: read_namespaces?,
                events,
                namespaces: namespaces?.0,
                defaults,
                balance_keys,
                shutdown_delay: shutdown_delay?.get(),
                log_level: log_level?,
            })
        };
        Faults::settle(settings(), faults)
    }
}

/// Returns the name of a flag in faults.
fn key(flag: &str) -> String {
    format!("--{flag} ({})", RunArguments::env(flag))
}

fn one<T: FromStr<Err = InvalidValue>>(flag: &str, text: &str, faults: &mut Vec<Fault>) -> Option<T> {
    text.trim().parse().map_err(|InvalidValue(expected)| faults.push(Fault::invalid(key(flag), text, expected))).ok()
}

fn tls(arguments: &RunArguments, faults: &mut Vec<Fault>) -> Option<Tls> {
    let files = [("tls-cert", &arguments.tls_cert), ("tls-key", &arguments.tls_key)];
    match arguments.tls.trim() {
        "self" => {
            for (flag, given) in files {
                if let Some(path) = given {
                    faults.push(Fault::invalid(key(flag), path, "to be left out: it is for --tls files"));
                }
            }
            own(arguments, faults)
        }
        "files" => {
            let [certificate, key] = files.map(|(flag, given)| {
                let path = given.as_deref().filter(|path| !path.is_empty()).map(PathBuf::from);
                if path.is_none() {
                    faults.push(Fault::missing(key(flag), "the path of a PEM file, for --tls files"));
                }
                path
            });
            Some(Tls::Files { certificate: certificate?, key: key? })
        }
        other => {
            faults.push(Fault::invalid(key("tls"), other, "self or files"));
            None
        }
    }
}

fn own(arguments: &RunArguments, faults: &mut Vec<Fault>) -> Option<Tls> {
    let service = one::<ObjectName>("service-name", &arguments.service_name, faults);
    let namespace = one::<ObjectName>("namespace", &arguments.namespace, faults);
    let secret = one::<ObjectName>("secret-name", &arguments.secret_name, faults);
    let configuration = one::<ObjectName>("webhook-configuration", &arguments.webhook_configuration, faults);
    Some(Tls::Own(Names {
        namespace: namespace?.into(),
        service: service?.into(),
        secret: secret?.into(),
        configuration: configuration?.into(),
    }))
}

fn balance_keys(arguments: &RunArguments, faults: &mut Vec<Fault>) -> Option<BalanceKeysConfigMap> {
    let name = arguments.balance_keys_config_map.as_deref().filter(|name| !name.is_empty())?;
    let name = one::<ObjectName>("balance-keys-config-map", name, faults);
    // With --tls self it is parsed for the Secret, too, and one fault of it is enough.
    let namespace = arguments.namespace.trim().parse::<ObjectName>();
    if let (Err(InvalidValue(expected)), true) = (&namespace, arguments.tls.trim() != "self") {
        faults.push(Fault::invalid(key("namespace"), &arguments.namespace, *expected));
    }
    Some(BalanceKeysConfigMap { namespace: namespace.ok()?.into(), name: name?.into() })
}

fn events(given: &[String], faults: &mut Vec<Fault>) -> Vec<WorkloadKind> {
    let kinds = given.iter().map(|name| name.trim()).filter(|name| !name.is_empty());
    kinds.filter_map(|name| one::<EventKind>("events", name, faults).map(|kind| kind.0)).collect()
}

/// Parses `NAME=VALUE`, and checks the values with the code that parses annotations.
fn defaults(given: &[String], faults: &mut Vec<Fault>) -> BTreeMap<String, String> {
    let mut defaults = BTreeMap::new();
    for text in given.iter().filter(|text| !text.is_empty()) {
        match text.split_once('=') {
            None => faults.push(Fault::invalid(key("default"), text, "NAME=VALUE, such as jitter=20%")),
            Some((name, value)) => {
                if let Some(before) = defaults.insert(name.to_owned(), value.to_owned()) {
                    let expected = format!("one value for {name}, and there is already {before}");
                    faults.push(Fault::invalid(key("default"), text, expected));
                }
            }
        }
    }
    // Values are parsed for workloads that opted in alone.
    let opted_in = BTreeMap::from([(Annotation::MaxRequests.key().to_owned(), "1".to_owned())]);
    if let Err(found) = WorkloadSettings::resolve(&[Layer::Installation(&defaults), Layer::Workload(&opted_in)]) {
        faults.extend(found.iter().map(|fault| Fault { key: default_key(&fault.key), ..fault.clone() }));
    }
    defaults
}

/// Returns the flag for a fault that names an annotation.
fn default_key(fault_key: &str) -> String {
    let name = fault_key.strip_prefix(PREFIX).or_else(|| fault_key.strip_prefix("the installation's default "));
    format!("{} {}", key("default"), name.unwrap_or(fault_key))
}

/// A kind of workload that Events can be published on.
struct EventKind(WorkloadKind);

impl FromStr for EventKind {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        // Pods are too many and change too often.
        let kind = WorkloadKind::ALL.iter().find(|kind| kind.name() == text && **kind != WorkloadKind::Pod);
        kind.copied().map(Self).ok_or(InvalidValue("Deployment, StatefulSet, DaemonSet, ReplicaSet or Rollout"))
    }
}

/// The labels of namespaces.
struct Namespaces(Selector);

impl FromStr for Namespaces {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let selector = serde_json::from_str::<LabelSelector>(text).ok();
        let selector = selector.and_then(|selector| Selector::try_from(selector).ok());
        selector.map(Self).ok_or(InvalidValue("a LabelSelector in JSON, such as {\"matchLabels\": {\"team\": \"x\"}}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::parse_run;

    fn parse(flags: &[&str]) -> Result<Settings, Faults> {
        Settings::parse(&parse_run(flags))
    }

    #[test]
    fn the_defaults_are_the_charts_names() {
        let settings = parse(&[]).unwrap();
        let Tls::Own(names) = &settings.tls else { panic!("expected --tls self") };
        assert_eq!(names.server_name(), "evenkeel-webhook.evenkeel.svc");
        assert_eq!((settings.listen.port(), settings.admin.port()), (8443, 8081));
        assert_eq!(settings.shutdown_delay, Duration::from_secs(5));
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        let faults = parse(&[
            "--listen=8443",
            "--admin=localhost:1",
            "--tls=none",
            "--default=jitter",
            "--default=max-requests=5",
            "--default=drain-timeout=20",
            "--shutdown-delay=soon",
            "--log-level=loud",
        ])
        .unwrap_err();
        let keys: Vec<_> = faults.iter().map(|fault| fault.key.split(' ').next().unwrap()).collect();
        let expected =
            ["--listen", "--admin", "--tls", "--default", "--default", "--default", "--shutdown-delay", "--log-level"];
        assert_eq!(keys, expected, "{faults}");
        let text = faults.to_string();
        assert!(text.contains("--default (EVENKEEL_WEBHOOK_DEFAULT) drain-timeout: \"20\" is not usable"), "{text}");
    }

    #[test]
    fn balance_keys_are_read_from_a_config_map_of_the_namespace() {
        assert_eq!(parse(&[]).unwrap().balance_keys, None);
        let found = parse(&["--namespace=tools", "--balance-keys-config-map=keys"]).unwrap().balance_keys.unwrap();
        assert_eq!((found.namespace.as_str(), found.name.as_str()), ("tools", "keys"));
        for tls in [&["--tls=self"][..], &["--tls=files", "--tls-cert=a", "--tls-key=b"]] {
            let flags = [tls, &["--namespace=../x", "--balance-keys-config-map=a/b"]].concat();
            let keys: Vec<_> = parse(&flags).unwrap_err().iter().map(|fault| fault.key.clone()).collect();
            assert_eq!(keys.len(), 2, "{keys:?}");
        }
    }

    #[test]
    fn tls_files_requires_both_paths_and_tls_self_neither() {
        let faults = parse(&["--tls=files"]).unwrap_err();
        assert_eq!(faults.iter().count(), 2, "{faults}");
        let faults = parse(&["--tls-cert=a"]).unwrap_err();
        assert!(faults.to_string().contains("to be left out"), "{faults}");
        let settings = parse(&["--tls=files", "--tls-cert=a", "--tls-key=b"]).unwrap();
        assert!(!settings.read_namespaces && parse(&[]).unwrap().read_namespaces);
        assert!(!parse(&["--read-namespaces=off"]).unwrap().read_namespaces);
        assert_eq!(settings.tls, Tls::Files { certificate: "a".into(), key: "b".into() });
    }

    #[test]
    fn kinds_and_namespace_selectors_of_events_are_checked() {
        let settings = parse(&["--events=Deployment,Rollout", "--namespace-selector={\"matchLabels\":{\"a\":\"b\"}}"]);
        let settings = settings.unwrap();
        assert_eq!(settings.events, [WorkloadKind::Deployment, WorkloadKind::Rollout]);
        assert_eq!(settings.namespaces.to_string(), "a=b");
        assert!(parse(&[]).unwrap().events.is_empty());
        let faults = parse(&["--events=Pod,deployments", "--namespace-selector=a=b"]).unwrap_err();
        assert_eq!(faults.iter().count(), 3, "{faults}");
    }

    #[test]
    fn installation_defaults_must_be_distinct_and_usable() {
        let settings = parse(&["--default=jitter=0%", "--default", "proxy-image=reg:5000/p:1"]).unwrap();
        assert_eq!(settings.defaults["proxy-image"], "reg:5000/p:1");
        let faults = parse(&["--default=jitter=0%", "--default=jitter=5%"]).unwrap_err();
        assert!(faults.to_string().contains("there is already 0%"), "{faults}");
    }

    #[test]
    fn object_names_cannot_contain_path_segments() {
        for bad in ["", "a/b", "..", "A", "a b", "-a", "a\n"] {
            assert!(parse(&[&format!("--secret-name={bad}")]).is_err() || bad.trim() != bad, "{bad:?}");
        }
    }
}
