//! The settings in the annotations of one workload.

mod sidecar;

use std::str::FromStr;

use crate::fault::{Fault, Faults};
use crate::layer::{Layer, Said};
use crate::table::{Annotation, SharedSettings};
use crate::value::{Interception, InvalidValue, MaxRequests, PortRef, SecretName, Span, Switch};

pub use sidecar::{LEAST_MEMORY_LIMIT, Sidecar};

/// The settings of a workload that opted in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadSettings {
    /// The number of requests after which a connection is retired; `None` without a setting, which is allowed only with
    /// balancing.
    pub max_requests: Option<MaxRequests>,
    /// Whether connections are retired after scale events.
    pub balance: Switch,
    /// The settings that are options of the proxy, too.
    pub shared: SharedSettings,
    /// The ports to intercept; `None` for every declared TCP port.
    pub ports: Option<Vec<PortRef>>,
    /// The intercepted ports that are opaque.
    pub opaque_ports: Vec<PortRef>,
    /// The interception that the workload or its namespace chooses; `None` if neither does.
    pub interception: Option<Interception>,
    /// The interception if no setting chooses one and nothing prevents it.
    pub default_interception: Interception,
    /// The bound on the drain. The grace period bounds it further.
    pub drain_timeout: Span,
    /// Whether an app container without a `preStop` hook waits for the drain.
    pub hold_app: Switch,
    /// The TLS that the proxy terminates; `None` if TLS passes through.
    pub tls: Option<WorkloadTls>,
    /// The sidecar itself.
    pub sidecar: Sidecar,
}

/// The TLS that the proxy terminates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadTls {
    /// The Secret with the certificate, in the workload's namespace.
    pub secret: SecretName,
    /// Whether connections are re-encrypted to the app.
    pub towards_app: Switch,
}

impl WorkloadSettings {
    /// Merges the layers, first to last, and parses the result. Returns `Ok(None)` if the workload itself did not opt
    /// in, or has `inject: disabled`.
    ///
    /// # Errors
    /// Every fault of every layer, including those of overridden values and of unknown keys with evenkeel's prefix.
    pub fn resolve(layers: &[Layer<'_>]) -> Result<Option<Self>, Faults> {
        let mut faults = Vec::new();
        let said = Said::of(layers, &mut faults);
        let switch = said.last::<InjectSwitch>(Annotation::Inject, &mut faults);
        let asks = |annotation| said.by_workload(annotation);
        let opted_in = asks(Annotation::MaxRequests) || asks(Annotation::Inject) || asks_for_balancing(&said);
        if matches!(switch, Some(InjectSwitch::Disabled)) || !(opted_in || said.unknown_by_workload()) {
            return Ok(None);
        }
        let settings = parse(&said, &mut faults);
        Faults::settle(settings, faults).map(Some)
    }
}

/// Returns whether the workload itself has the annotation `balance` with a value other than `off`.
fn asks_for_balancing(said: &Said<'_>) -> bool {
    said.by_workload(Annotation::Balance) && said.last_text(Annotation::Balance) != Some(Switch::Off.word())
}

fn parse(said: &Said<'_>, faults: &mut Vec<Fault>) -> Option<WorkloadSettings> {
    // Every field is parsed before the first `?`, so that no fault hides another.
    let balance = said.one(Annotation::Balance, faults);
    if !said.contains(Annotation::MaxRequests) && balance == Some(Switch::Off) {
        let expected = format!("a whole number from 1 to 4294967295, or {}: on", Annotation::Balance);
        faults.push(Fault::missing(Annotation::MaxRequests.key(), expected));
    }
    let max_requests = said.last(Annotation::MaxRequests, faults);
    let shared = SharedSettings::parse(said, faults);
    let ports = said.list(Annotation::Ports, faults);
    let opaque_ports = said.list(Annotation::OpaquePorts, faults);
    let interception = said.one(Annotation::Interception, faults);
    let drain_timeout = said.one(Annotation::DrainTimeout, faults);
    let hold_app = said.one(Annotation::HoldApp, faults);
    let tls = tls(said, faults);
    let sidecar = Sidecar::parse(said, faults);
    Some(WorkloadSettings {
        max_requests,
        balance: balance?,
        shared: shared?,
        ports,
        opaque_ports: opaque_ports.unwrap_or_default(),
        interception: interception.filter(|_| said.beyond_installation(Annotation::Interception)),
        default_interception: interception?,
        drain_timeout: drain_timeout?,
        hold_app: hold_app?,
        tls,
        sidecar: sidecar?,
    })
}

fn tls(said: &Said<'_>, faults: &mut Vec<Fault>) -> Option<WorkloadTls> {
    let secret = said.last(Annotation::TlsSecret, faults);
    let towards_app = said.one(Annotation::TlsToApp, faults)?;
    if towards_app == Switch::On && !said.contains(Annotation::TlsSecret) {
        let expected = format!("off, or {} beside it", Annotation::TlsSecret);
        faults.push(Fault::invalid(Annotation::TlsToApp.key(), "on", expected));
    }
    Some(WorkloadTls { secret: secret?, towards_app })
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
    use std::collections::BTreeMap;

    use super::*;
    use crate::annotation::STATUS_KEY;
    use crate::option::OptionSpec as _;
    use crate::value::Off;

    fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn resolve(annotations: &[(&str, &str)]) -> Result<Option<WorkloadSettings>, Faults> {
        WorkloadSettings::resolve(&[Layer::Workload(&map(annotations))])
    }

    #[test]
    fn without_an_annotation_nothing_is_asked_for() {
        assert_eq!(resolve(&[]), Ok(None));
        assert_eq!(resolve(&[("app.kubernetes.io/name", "web"), (STATUS_KEY, "{}")]), Ok(None));
    }

    #[test]
    fn max_requests_alone_opts_in() {
        let settings = resolve(&[("evenkeel.dev/max-requests", "1000")]).unwrap().unwrap();
        assert_eq!(settings.max_requests, MaxRequests::new(1000));
        assert_eq!(settings.balance, Switch::Off);
        assert_eq!(settings.shared.jitter.percent(), 10);
        assert_eq!(settings.ports, None);
        assert!(settings.hold_app.is_on());
    }

    #[test]
    fn balance_on_opts_in_and_off_does_not() {
        let balance = |value| ("evenkeel.dev/balance", value);
        let settings = resolve(&[balance("on")]).unwrap().unwrap();
        assert_eq!((settings.max_requests, settings.balance), (None, Switch::On));
        let both = resolve(&[balance("on"), ("evenkeel.dev/max-requests", "7")]).unwrap().unwrap();
        assert_eq!(
            (both.max_requests, both.balance),
            (MaxRequests::new(7), Switch::On),
            "a limit that is said is kept"
        );
        assert_eq!(resolve(&[balance("off")]), Ok(None));
        assert_eq!(resolve(&[balance("on"), ("evenkeel.dev/inject", "disabled")]), Ok(None));
        let faults = resolve(&[balance("yes")]).unwrap_err();
        assert_eq!(faults.iter().map(|fault| fault.expected.as_str()).collect::<Vec<_>>(), ["on or off"]);
        assert!(resolve(&[balance("off"), ("evenkeel.dev/inject", "enabled")]).is_err());
        // Settings of a namespace do not opt workloads in.
        let namespace = map(&[balance("on")]);
        let resolve = |own: &[(&str, &str)]| {
            WorkloadSettings::resolve(&[Layer::Namespace(&namespace), Layer::Workload(&map(own))]).unwrap()
        };
        assert_eq!(resolve(&[]), None);
        assert_eq!(resolve(&[("evenkeel.dev/inject", "enabled")]).unwrap().balance, Switch::On);
        assert_eq!(resolve(&[balance("off")]), None);
    }

    #[test]
    fn disabled_keeps_the_settings_and_injects_nothing() {
        assert_eq!(resolve(&[("evenkeel.dev/max-requests", "1"), ("evenkeel.dev/inject", "disabled")]), Ok(None));
    }

    #[test]
    fn inject_enabled_alone_lacks_a_limit() {
        let faults = resolve(&[("evenkeel.dev/inject", "enabled")]).unwrap_err();
        assert!(faults.to_string().starts_with("evenkeel.dev/max-requests is missing"), "{faults}");
    }

    #[test]
    fn later_layers_take_precedence() {
        let installation = map(&[("jitter", "0%"), ("proxy-cpu-request", "5m")]);
        let own = map(&[("evenkeel.dev/max-requests", "10"), ("evenkeel.dev/jitter", "20%")]);
        let template = map(&[("evenkeel.dev/max-requests", "7")]);
        let namespace = map(&[("evenkeel.dev/jitter", "30%"), ("evenkeel.dev/proxy-threads", "2")]);
        let layers = [
            Layer::Installation(&installation),
            Layer::Namespace(&namespace),
            Layer::Workload(&own),
            Layer::PodTemplate(&template),
        ];
        let settings = WorkloadSettings::resolve(&layers).unwrap().unwrap();
        assert_eq!((settings.max_requests, settings.shared.jitter.percent()), (MaxRequests::new(7), 20));
        assert_eq!((settings.sidecar.cpu_request.millicpus(), settings.shared.threads.get()), (5, 2));
    }

    #[test]
    fn a_namespace_gives_defaults_and_the_workload_opts_in() {
        let namespace = map(&[("evenkeel.dev/max-requests", "500"), ("evenkeel.dev/typo", "x")]);
        let resolve = |own: &[(&str, &str)]| {
            WorkloadSettings::resolve(&[Layer::Namespace(&namespace), Layer::Workload(&map(own))])
        };
        assert_eq!(resolve(&[]), Ok(None), "nor are the namespace's faults a workload's that wants nothing");
        assert_eq!(resolve(&[("evenkeel.dev/jitter", "5%")]), Ok(None));
        assert!(resolve(&[("evenkeel.dev/inject", "enabled")]).is_err());
        let namespace = map(&[("evenkeel.dev/max-requests", "500"), ("evenkeel.dev/inject", "disabled")]);
        let resolve = |own: &[(&str, &str)]| {
            WorkloadSettings::resolve(&[Layer::Namespace(&namespace), Layer::Workload(&map(own))]).unwrap()
        };
        assert_eq!(resolve(&[("evenkeel.dev/max-requests", "7")]), None);
        assert_eq!(resolve(&[("evenkeel.dev/inject", "enabled")]).unwrap().max_requests, MaxRequests::new(500));
    }

    #[test]
    fn every_fault_of_every_layer_names_its_layer() {
        let installation = map(&[("jitter", "60%")]);
        let namespace = map(&[("evenkeel.dev/jitter", "70%"), ("evenkeel.dev/jiter", "1%")]);
        let own = map(&[("evenkeel.dev/max-requests", "0"), ("evenkeel.dev/jitter", "80%")]);
        let template = map(&[("evenkeel.dev/max-requests", "7"), ("evenkeel.dev/ports", "http,0")]);
        let layers = [
            Layer::Installation(&installation),
            Layer::Namespace(&namespace),
            Layer::Workload(&own),
            Layer::PodTemplate(&template),
        ];
        let faults = WorkloadSettings::resolve(&layers).unwrap_err();
        let keys: Vec<&str> = faults.iter().map(|fault| fault.key.as_str()).collect();
        let expected = [
            "evenkeel.dev/jiter (namespace)",
            "evenkeel.dev/max-requests",
            "the installation's default jitter",
            "evenkeel.dev/jitter (namespace)",
            "evenkeel.dev/jitter",
            "evenkeel.dev/ports (pod template)",
        ];
        assert_eq!(keys, expected);
    }

    #[test]
    fn a_namespace_must_not_choose_the_image() {
        let image = map(&[("evenkeel.dev/proxy-image", "example.com/proxy:2")]);
        let own = map(&[("evenkeel.dev/max-requests", "1")]);
        let faults = WorkloadSettings::resolve(&[Layer::Namespace(&image), Layer::Workload(&own)]).unwrap_err();
        let expected = "evenkeel.dev/proxy-image (namespace): \"example.com/proxy:2\" is not usable: \
                        expected it on a workload alone, or as the installation's default";
        assert_eq!(faults.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected]);
        for layer in [Layer::Workload(&image), Layer::PodTemplate(&image)] {
            let settings = WorkloadSettings::resolve(&[Layer::Workload(&own), layer]).unwrap().unwrap();
            assert_eq!(settings.sidecar.image.as_str(), "example.com/proxy:2");
        }
        let default = map(&[("proxy-image", "example.com/proxy:2")]);
        let settings = WorkloadSettings::resolve(&[Layer::Installation(&default), Layer::Workload(&own)]);
        assert_eq!(settings.unwrap().unwrap().sidecar.image.as_str(), "example.com/proxy:2");
    }

    #[test]
    fn an_interception_is_chosen_by_the_workload_or_its_namespace() {
        let chosen = |layers: &[Layer<'_>]| {
            let settings = WorkloadSettings::resolve(layers).unwrap().unwrap();
            (settings.interception, settings.default_interception)
        };
        let (installation, own) = (map(&[("interception", "named-port")]), map(&[("evenkeel.dev/max-requests", "1")]));
        let namespace = map(&[("evenkeel.dev/interception", "redirect")]);
        let layers = [Layer::Installation(&installation), Layer::Namespace(&namespace), Layer::Workload(&own)];
        assert_eq!(chosen(&layers[2..]), (None, Interception::Redirect));
        assert_eq!(chosen(&[layers[0], layers[2]]), (None, Interception::NamedPort));
        assert_eq!(chosen(&layers), (Some(Interception::Redirect), Interception::Redirect));
    }

    #[test]
    fn many_long_unknown_keys_take_little_time() {
        let flood = (0..20_000).map(|n| (format!("evenkeel.dev/{n}{}", "x".repeat(35)), String::new())).collect();
        let faults = WorkloadSettings::resolve(&[Layer::Workload(&flood)]).unwrap_err();
        assert_eq!(faults.iter().len(), 20_001);
        assert!(faults.iter().all(|fault| !fault.expected.contains("nearest")), "{}", faults.iter().next().unwrap());
    }

    #[test]
    fn installation_defaults_alone_do_not_opt_in() {
        let installation = map(&[("jitter", "0%")]);
        assert_eq!(WorkloadSettings::resolve(&[Layer::Installation(&installation)]), Ok(None));
        let (installation, own) = (map(&[("max-requests", "10")]), map(&[("evenkeel.dev/inject", "enabled")]));
        assert_eq!(WorkloadSettings::resolve(&[Layer::Installation(&installation)]), Ok(None));
        assert!(WorkloadSettings::resolve(&[Layer::Installation(&installation), Layer::Workload(&own)]).is_err());
    }

    #[test]
    fn all_faults_are_reported_at_once_with_hints() {
        let faults = resolve(&[
            ("evenkeel.dev/max-requests", "-5"),
            ("evenkeel.dev/jiter", "10%"),
            ("evenkeel.dev/ports", "http,70000"),
            ("evenkeel.dev/proxy-memory-request", "24Mi"),
            ("evenkeel.dev/proxy-memory-limit", "16Mi"),
        ])
        .unwrap_err();
        let sentences: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(sentences.len(), 4, "{sentences:#?}");
        assert!(sentences[0].contains("the nearest is evenkeel.dev/jitter"), "{sentences:#?}");
        assert!(sentences[3].contains("at least the request, which is 24Mi"), "{sentences:#?}");
    }

    #[test]
    fn tls_to_app_requires_tls_secret() {
        let settings = resolve(&[("evenkeel.dev/max-requests", "1"), ("evenkeel.dev/tls-secret", "web-tls")]);
        let tls = settings.unwrap().unwrap().tls.unwrap();
        assert_eq!((tls.secret.as_str(), tls.towards_app), ("web-tls", Switch::Off));
        let faults = resolve(&[("evenkeel.dev/max-requests", "1"), ("evenkeel.dev/tls-to-app", "on")]).unwrap_err();
        assert!(faults.to_string().contains("expected off, or evenkeel.dev/tls-secret"), "{faults}");
        let faults = resolve(&[
            ("evenkeel.dev/max-requests", "1"),
            ("evenkeel.dev/tls-secret", "Web"),
            ("evenkeel.dev/tls-to-app", "yes"),
        ]);
        assert_eq!(faults.unwrap_err().iter().count(), 2);
    }

    #[test]
    fn defaults_are_those_of_the_documentation() {
        let settings = resolve(&[("evenkeel.dev/max-requests", "1")]).unwrap().unwrap();
        for (annotation, value) in [
            (Annotation::Balance, settings.balance.to_string()),
            (Annotation::Interception, settings.default_interception.to_string()),
            (Annotation::DrainTimeout, settings.drain_timeout.to_string()),
            (Annotation::HoldApp, settings.hold_app.to_string()),
            (Annotation::ProxyCpuRequest, settings.sidecar.cpu_request.to_string()),
            (Annotation::ProxyMemoryRequest, settings.sidecar.memory_request.to_string()),
            (Annotation::ProxyCpuLimit, Off(settings.sidecar.cpu_limit).to_string()),
            (Annotation::ProxyMemoryLimit, settings.sidecar.memory_limit.to_string()),
        ] {
            assert_eq!(annotation.default_text(), value, "{annotation}");
        }
        for ((annotation, option), text) in SharedSettings::KEYS.iter().zip(settings.shared.texts()) {
            assert_eq!((annotation.default_text(), option.default()), (&*text, Some(&*text)), "{annotation}");
        }
    }
}
