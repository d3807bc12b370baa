//! Options are parsed, and given back as an environment.

use std::num::NonZeroU16;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::value::{HttpGet, LivenessProbe, Question, Switch};

fn raw(values: &[(ProxyOption, &str)]) -> RawOptions<ProxyOption> {
    let mut raw = RawOptions::default();
    for (option, value) in values {
        raw.give(*option, format!("--{}", option.flag()), [(*value).to_owned()]);
    }
    raw
}

#[test]
fn defaults_are_usable_and_documented() {
    let settings = ProxySettings::from_raw(&RawOptions::default()).unwrap();
    assert_eq!(settings.routes, Routes::OriginalDestination(vec!["[::]:15210".parse().unwrap()]));
    assert_eq!(settings.to_env(), [("EVENKEEL_MAX_REQUESTS", "1000".into()), ("EVENKEEL_JITTER", "10%".into())]);
}

#[test]
fn the_ports_of_the_contract_are_the_defaults() {
    let settings = ProxySettings::from_raw(&RawOptions::default()).unwrap();
    assert_eq!(settings.admin.port(), crate::ADMIN_PORT);
    assert_eq!(ProxyOption::Listen.default(), Some(&*format!("[::]:{}", crate::PROXY_PORT)));
}

#[test]
fn all_faults_are_reported_at_once() {
    let faults = ProxySettings::from_raw(&raw(&[
        (ProxyOption::Listen, "8080"),
        (ProxyOption::MaxRequests, "0"),
        (ProxyOption::Jitter, "60%"),
        (ProxyOption::OpaquePorts, "80,http"),
        (ProxyOption::Threads, "many"),
    ]))
    .unwrap_err();
    let keys: Vec<_> = faults.iter().map(|fault| fault.key.as_str()).collect();
    assert_eq!(keys, ["--listen", "--max-requests", "--jitter", "--threads", "--opaque-ports"]);
}

#[test]
fn listeners_and_apps_must_be_pairs() {
    let settings = ProxySettings::from_raw(&raw(&[
        (ProxyOption::Listen, "127.0.0.1:1,127.0.0.1:2"),
        (ProxyOption::App, "127.0.0.1:3,:4"),
    ]))
    .unwrap();
    let Routes::Fixed(routes) = settings.routes else { panic!("expected fixed routes") };
    assert_eq!(routes[1].app, AppAddress::OfPod(4));
    let faults = ProxySettings::from_raw(&raw(&[(ProxyOption::App, "127.0.0.1:3,127.0.0.1:4")])).unwrap_err();
    assert!(faults.to_string().contains("as many as --listen has (1)"), "{faults}");
}

#[test]
fn flags_and_environment_names_agree() {
    for option in ProxyOption::ALL {
        let expected = format!("EVENKEEL_{}", option.flag().to_uppercase().replace('-', "_"));
        assert_eq!(option.env(), expected);
    }
}

prop_compose! {
    fn settings()(
        fixed in any::<bool>(),
        ports in prop::collection::vec((1u16.., 1u16..), 1..4),
        max_requests in 1u32..,
        balance in prop::option::of(any::<bool>()),
        opaque in prop::collection::btree_set(1u16.., 0..3),
        tls in prop::option::of(prop::sample::select(vec![Switch::On, Switch::Off])),
        drain_millis in 1u64..600_000,
        liveness in liveness(),
        shared in shared(),
    ) -> ProxySettings {
        let listen = |port| SocketAddr::from(([0, 0, 0, 0], port));
        let at = |port| AppAddress::At(SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port)));
        let app = |port| if port % 2 == 0 { at(port) } else { AppAddress::OfPod(port) };
        let hold = |port: &u16| HoldPort { port: *port, container: port.is_multiple_of(2).then(|| format!("app-{port}")) };
        let opaque_holds = opaque.iter().map(hold).collect();
        ProxySettings {
            routes: if fixed {
                Routes::Fixed(ports.iter().map(|(a, b)| Route { listen: listen(*a), app: app(*b) }).collect())
            } else {
                Routes::OriginalDestination(ports.iter().map(|(a, _)| listen(*a)).collect())
            },
            // What nobody has set is the default.
            max_requests: MaxRequests::new(if balance == Some(false) { 1000 } else { max_requests }).unwrap(),
            balance: balance.map(|max_requests_is_set| BalanceSettings {
                keys: "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=".parse().unwrap(),
                workload: "Deployment/web".parse().unwrap(),
                max_requests_is_set,
            }),
            namespace: (fixed || balance.is_some()).then(|| "shop".parse().unwrap()),
            shared,
            probe_ports: opaque.iter().map(|port| port ^ 1).filter(|port| *port > 0).collect(),
            opaque_ports: opaque,
            tls: tls.map(|towards_app| TlsSettings {
                certificate: "/a/tls.crt".parse().unwrap(),
                key: "tls.key".parse().unwrap(),
                towards_app,
            }),
            ports: ports.iter().map(|(a, _)| *a).collect(),
            admin: listen(9),
            liveness,
            probes: ports.iter().map(|(a, b)| (*b, *a)).collect(),
            network: PodNetwork { pod_ip: Some(listen(1).ip()), host_ip: fixed.then(|| listen(1).ip()) },
            hold: opaque_holds,
            control: ControlSocket::Abstract("x".into()),
            max_connections: "7".parse().unwrap(),
            memory_limit: Some("64Mi".parse().unwrap()),
            head_limit: "3Ki".parse().unwrap(),
            drain_timeout: format!("{drain_millis}ms").parse().unwrap(),
        }
    }
}

/// Texts for an option, by the word for its value.
fn samples(option: ProxyOption) -> &'static [&'static str] {
    match option.value_name() {
        "DURATION" => &["off", "1ms", "90s", "4h"],
        "LEVEL" => &["error", "warn", "info", "debug", "trace"],
        "N" => &["1", "64"],
        "PERCENT" => &["0%", "37%", "50%"],
        "SWITCH" => &["on", "off"],
        "VERSION" => &["v1", "v2", "off"],
        word => panic!("no sample of {word} for {option:?}"),
    }
}

fn shared() -> impl Strategy<Value = SharedSettings> {
    let options = SharedSettings::KEYS.iter().map(|(_, option)| *option);
    let texts = options.map(|option| prop::sample::select(samples(option)).prop_map(move |text| (option, text)));
    texts.collect::<Vec<_>>().prop_map(|texts| SharedSettings::parse(&raw(&texts), &mut Vec::new()).unwrap())
}

fn liveness() -> impl Strategy<Value = Liveness> {
    let socket = any::<NonZeroU16>().prop_map(Question::Tcp);
    let header = ("[a-zA-Z-]{1,8}", "[ -~é]{0,8}");
    let get =
        (any::<NonZeroU16>(), any::<bool>(), "/([a-z$()?=]|%[0-9A-F]{2}){0,8}", prop::collection::vec(header, 0..3));
    let get = get.prop_map(|(port, tls, target, headers)| Question::Http(HttpGet { port, tls, target, headers }));
    let probe = (prop_oneof![socket, get], 1u64..100, any::<bool>()).prop_map(|(question, seconds, introduced)| {
        LivenessProbe { question, timeout: Duration::from_secs(seconds), introduced }
    });
    prop::collection::btree_map(".{0,8}", probe, 0..3).prop_map(Liveness::from_iter)
}

proptest! {
    #[test]
    fn an_environment_carries_every_setting(settings in settings()) {
        let env = settings.to_env();
        let lookup = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone());
        prop_assert_eq!(ProxySettings::from_raw(&RawOptions::from_env(lookup)), Ok(settings));
    }
}
