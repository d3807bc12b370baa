//! The settings of the running proxy.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use crate::balance::{BalanceSettings, NamespaceName};
use crate::fault::{Fault, Faults};
use crate::hold::HoldPort;
use crate::option::{OptionSpec, ProxyOption, RawOptions};
use crate::pod_network::{Ip, PodNetwork};
use crate::redirect::{Probe, pairs, written};
use crate::tls::TlsSettings;
use crate::value::{
    AppAddress, ByteSize, ControlSocket, CpuQuantity, InvalidValue, Jitter, Liveness, LogLevel, MaxConnections,
    MaxRequests, MemoryQuantity, PortNumber, ProxyProtocol, Span, Switch, Threads,
};

/// Everything that `recycling-proxy run` can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxySettings {
    /// Where clients connect and where their connections go.
    pub routes: Routes,
    /// Requests after which a connection is retired.
    pub max_requests: MaxRequests,
    /// Whose instructions are followed, and for which workload; `None` without balancing.
    pub balance: Option<BalanceSettings>,
    /// The namespace of the pod; `None` where nobody tells it. It is there where `balance` is parsed.
    pub namespace: Option<NamespaceName>,
    /// How far below `max_requests`, `max_age` and `max_tunnel_age` a connection's own limits may be drawn.
    pub jitter: Jitter,
    /// The age after which a connection's next response retires it.
    pub max_age: Option<Span>,
    /// The time after which a tunnel is cut.
    pub max_tunnel_age: Option<Span>,
    /// App ports that are never looked into.
    pub opaque_ports: BTreeSet<u16>,
    /// Whether each request tells the app its client's address.
    pub forwarded_for: Switch,
    /// The header that tells the app who its client is.
    pub proxy_protocol: ProxyProtocol,
    /// The TLS that is ended here; `None` for TLS that passes through.
    pub tls: Option<TlsSettings>,
    /// The app ports that a redirection takes, as far as they are told.
    pub ports: BTreeSet<u16>,
    /// The read-only endpoints.
    pub admin: SocketAddr,
    /// The liveness probes of the containers that wait for the drain, as far as the proxy can ask in the kubelet's place.
    pub liveness: Liveness,
    /// App ports that the admin endpoints may try on behalf of a moved `tcpSocket` probe, beside those of fixed routes.
    pub probe_ports: BTreeSet<u16>,
    /// The ports that lead probes past the proxy to the app, each with the app's port, for a pod without a redirection.
    pub probes: BTreeMap<u16, u16>,
    /// Whose network this is.
    pub network: PodNetwork,
    /// The ports at which apps wait for the drain.
    pub hold: Vec<HoldPort>,
    /// The socket for commands that change state.
    pub control: ControlSocket,
    /// Worker threads.
    pub threads: Threads,
    /// Client connections held at once.
    pub max_connections: MaxConnections,
    /// The memory that the process keeps within; `None` for what its control group allows.
    pub memory_limit: Option<MemoryQuantity>,
    /// The longest head that passes.
    pub head_limit: ByteSize,
    /// The bound on a drain.
    pub drain_timeout: Span,
    /// What is logged.
    pub log_level: LogLevel,
}

/// Where clients connect and where their connections go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Routes {
    /// Each listener has its app.
    Fixed(Vec<Route>),
    /// Connections were redirected here; the port that they meant is asked of the kernel (`SO_ORIGINAL_DST`).
    OriginalDestination(Vec<SocketAddr>),
}

/// A listener and its app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where the app listens.
    pub app: AppAddress,
}

impl ProxySettings {
    /// Parses raw options; on failure every fault is there.
    pub fn from_raw(raw: &RawOptions<ProxyOption>) -> Result<Self, Faults> {
        let mut faults = Vec::new();
        let settings = Self::parse(raw, &mut faults);
        Faults::settle(settings, faults)
    }

    fn parse(raw: &RawOptions<ProxyOption>, faults: &mut Vec<Fault>) -> Option<Self> {
        // Every field is parsed before the first `?`, so that no fault hides another.
        let routes = routes(raw, faults);
        let max_requests = raw.one(ProxyOption::MaxRequests, faults);
        let namespace = raw.one(ProxyOption::Namespace, faults);
        let balance = BalanceSettings::parse(raw, namespace.as_ref(), faults);
        let jitter = raw.one(ProxyOption::Jitter, faults);
        let max_age = raw.one::<Off<Span>>(ProxyOption::MaxAge, faults);
        let max_tunnel_age = raw.one::<Off<Span>>(ProxyOption::MaxTunnelAge, faults);
        let opaque_ports = raw.list::<PortNumber>(ProxyOption::OpaquePorts, faults);
        let forwarded_for = raw.one(ProxyOption::ForwardedFor, faults);
        let proxy_protocol = raw.one(ProxyOption::ProxyProtocol, faults);
        let tls = TlsSettings::parse(raw, faults);
        let ports = raw.list::<PortNumber>(ProxyOption::Ports, faults);
        let admin = raw.one::<Address>(ProxyOption::Admin, faults);
        let liveness = raw.one(ProxyOption::Liveness, faults);
        let probe_ports = raw.list::<PortNumber>(ProxyOption::ProbePorts, faults);
        let probes = raw.list::<Probe>(ProxyOption::Probes, faults);
        let hold = raw.list(ProxyOption::Hold, faults);
        let control = raw.one(ProxyOption::Control, faults);
        let threads = raw.one(ProxyOption::Threads, faults);
        let max_connections = raw.one(ProxyOption::MaxConnections, faults);
        let memory_limit = raw.one::<Auto<MemoryQuantity>>(ProxyOption::MemoryLimit, faults);
        let head_limit = raw.one(ProxyOption::HeadLimit, faults);
        let drain_timeout = raw.one(ProxyOption::DrainTimeout, faults);
        let network = PodNetwork {
            pod_ip: raw.one(ProxyOption::PodIp, faults).map(|Ip(address)| address),
            host_ip: raw.one(ProxyOption::HostIp, faults).map(|Ip(address)| address),
        };
        let log_level = raw.one(ProxyOption::LogLevel, faults);
        Some(Self {
            routes: routes?,
            max_requests: max_requests?,
            balance,
            namespace,
            jitter: jitter?,
            max_age: max_age?.0,
            max_tunnel_age: max_tunnel_age?.0,
            opaque_ports: opaque_ports.into_iter().map(|PortNumber(port)| port).collect(),
            forwarded_for: forwarded_for?,
            proxy_protocol: proxy_protocol?,
            tls,
            ports: ports.into_iter().map(|PortNumber(port)| port).collect(),
            admin: admin?.0,
            liveness: liveness?,
            probe_ports: probe_ports.into_iter().map(|PortNumber(port)| port).collect(),
            probes: pairs(probes),
            network,
            hold,
            control: control?,
            threads: threads?,
            max_connections: max_connections?,
            memory_limit: memory_limit?.0,
            head_limit: head_limit?,
            drain_timeout: drain_timeout?,
            log_level: log_level?,
        })
    }

    /// The environment that gives these settings back: what differs from the defaults, and always the rule itself,
    /// so that `kubectl get -o yaml` shows it.
    ///
    /// Leaving defaults out keeps injected pod templates as they are when a later version has more options.
    pub fn to_env(&self) -> Vec<(&'static str, String)> {
        let texts = ProxyOption::ALL.iter().map(|option| (*option, self.text(*option)));
        let told = texts.filter_map(|(option, text)| Some((option, text?))).filter(|(option, text)| {
            matches!(option, ProxyOption::MaxRequests | ProxyOption::Jitter) || option.default() != Some(text)
        });
        told.map(|(option, text)| (option.env(), text)).collect()
    }

    /// The ports of the app to which connections are expected.
    pub fn app_ports(&self) -> BTreeSet<u16> {
        let fixed = match &self.routes {
            Routes::Fixed(routes) => routes.as_slice(),
            Routes::OriginalDestination(_) => &[],
        };
        fixed.iter().map(|route| route.app.port()).chain(self.ports.iter().copied()).collect()
    }

    fn text(&self, option: ProxyOption) -> Option<String> {
        match option {
            ProxyOption::Listen => Some(match &self.routes {
                Routes::Fixed(routes) => joined(routes.iter().map(|route| route.listen)),
                Routes::OriginalDestination(listen) => joined(listen),
            }),
            ProxyOption::App => match &self.routes {
                Routes::Fixed(routes) => Some(joined(routes.iter().map(|route| route.app))),
                Routes::OriginalDestination(_) => None,
            },
            ProxyOption::MaxRequests => {
                let is_set = self.balance.as_ref().is_none_or(|balance| balance.max_requests_is_set);
                is_set.then(|| self.max_requests.to_string())
            }
            ProxyOption::BalanceKeys => self.balance.as_ref().map(|balance| balance.keys.to_string()),
            ProxyOption::Workload => self.balance.as_ref().map(|balance| balance.workload.to_string()),
            ProxyOption::Namespace => self.namespace.as_ref().map(NamespaceName::to_string),
            ProxyOption::Jitter => Some(self.jitter.to_string()),
            ProxyOption::MaxAge => Some(Off(self.max_age).to_string()),
            ProxyOption::MaxTunnelAge => Some(Off(self.max_tunnel_age).to_string()),
            ProxyOption::OpaquePorts => (!self.opaque_ports.is_empty()).then(|| joined(&self.opaque_ports)),
            ProxyOption::ForwardedFor => Some(self.forwarded_for.to_string()),
            ProxyOption::ProxyProtocol => Some(self.proxy_protocol.to_string()),
            ProxyOption::TlsCert => self.tls.as_ref().map(|tls| tls.certificate.to_string()),
            ProxyOption::TlsKey => self.tls.as_ref().map(|tls| tls.key.to_string()),
            ProxyOption::TlsToApp => self.tls.as_ref().map(|tls| tls.towards_app.to_string()),
            ProxyOption::Ports => (!self.ports.is_empty()).then(|| joined(&self.ports)),
            ProxyOption::Admin => Some(self.admin.to_string()),
            ProxyOption::Liveness => Some(self.liveness.to_string()),
            ProxyOption::ProbePorts => (!self.probe_ports.is_empty()).then(|| joined(&self.probe_ports)),
            ProxyOption::Probes => (!self.probes.is_empty()).then(|| written(&self.probes)),
            ProxyOption::Hold => (!self.hold.is_empty()).then(|| joined(&self.hold)),
            ProxyOption::Control => Some(self.control.to_string()),
            ProxyOption::Threads => Some(self.threads.to_string()),
            ProxyOption::MaxConnections => Some(self.max_connections.to_string()),
            ProxyOption::MemoryLimit => Some(Auto(self.memory_limit).to_string()),
            ProxyOption::HeadLimit => Some(self.head_limit.to_string()),
            ProxyOption::DrainTimeout => Some(self.drain_timeout.to_string()),
            ProxyOption::PodIp => self.network.pod_ip.map(|address| address.to_string()),
            ProxyOption::HostIp => self.network.host_ip.map(|address| address.to_string()),
            ProxyOption::LogLevel => Some(self.log_level.to_string()),
        }
    }
}

fn routes(raw: &RawOptions<ProxyOption>, faults: &mut Vec<Fault>) -> Option<Routes> {
    let before = faults.len();
    let listen: Vec<SocketAddr> = raw.list(ProxyOption::Listen, faults).into_iter().map(|Address(at)| at).collect();
    let app: Vec<AppAddress> = raw.list(ProxyOption::App, faults);
    if faults.len() > before {
        return None;
    }
    if app.is_empty() {
        return Some(Routes::OriginalDestination(listen));
    }
    if listen.len() != app.len() {
        faults.push(Fault::invalid(
            raw.key(ProxyOption::App),
            joined(&app),
            format!("as many as --listen has ({}), or none", listen.len()),
        ));
        return None;
    }
    Some(Routes::Fixed(listen.into_iter().zip(app).map(|(listen, app)| Route { listen, app }).collect()))
}

fn joined<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    let texts: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    texts.join(",")
}

/// An IP address and a port.
struct Address(SocketAddr);

impl FromStr for Address {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        text.parse()
            .map(Self)
            .map_err(|_| InvalidValue("an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080"))
    }
}

/// A value that can be switched off by the word `off`.
pub(crate) struct Off<T>(pub(crate) Option<T>);

impl FromStr for Off<Span> {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        if text == "off" {
            return Ok(Self(None));
        }
        let expected = InvalidValue("off, or a duration with units from 1ms to 365d, such as 10m");
        text.parse().map(|span| Self(Some(span))).map_err(|_| expected)
    }
}

impl FromStr for Off<CpuQuantity> {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        if text == "off" {
            return Ok(Self(None));
        }
        let expected = InvalidValue("off, or an amount of CPU from 1m to 64, such as 500m");
        text.parse().map(|amount| Self(Some(amount))).map_err(|_| expected)
    }
}

impl<T: fmt::Display> fmt::Display for Off<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("off"),
            Some(value) => value.fmt(f),
        }
    }
}

/// A value that is found out where it is not given.
struct Auto<T>(Option<T>);

impl FromStr for Auto<MemoryQuantity> {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        if text == "auto" {
            return Ok(Self(None));
        }
        let expected = InvalidValue("auto, or an amount of memory from 1Mi to 64Gi, such as 128Mi");
        text.parse().map(|quantity| Self(Some(quantity))).map_err(|_| expected)
    }
}

impl<T: fmt::Display> fmt::Display for Auto<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("auto"),
            Some(value) => value.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
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
    fn all_faults_at_once() {
        let faults = ProxySettings::from_raw(&raw(&[
            (ProxyOption::Listen, "8080"),
            (ProxyOption::MaxRequests, "0"),
            (ProxyOption::Jitter, "60%"),
            (ProxyOption::OpaquePorts, "80,http"),
            (ProxyOption::Threads, "many"),
        ]))
        .unwrap_err();
        let keys: Vec<_> = faults.iter().map(|fault| fault.key.as_str()).collect();
        assert_eq!(keys, ["--listen", "--max-requests", "--jitter", "--opaque-ports", "--threads"]);
    }

    #[test]
    fn listeners_and_apps_come_in_pairs() {
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
            jitter in 0u8..=50,
            max_age in prop::option::of(1u64..86_400_000),
            max_tunnel_age in prop::option::of(1u64..86_400_000),
            opaque in prop::collection::btree_set(1u16.., 0..3),
            forwarded_for in prop::sample::select(Switch::ALL),
            proxy_protocol in prop::sample::select(ProxyProtocol::ALL),
            tls in prop::option::of(prop::sample::select(vec![Switch::On, Switch::Off])),
            threads in 1u8..=64,
            drain_millis in 1u64..600_000,
            level in prop::sample::select(LogLevel::ALL),
            liveness in liveness(),
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
                jitter: format!("{jitter}%").parse().unwrap(),
                max_age: max_age.map(|millis| format!("{millis}ms").parse().unwrap()),
                max_tunnel_age: max_tunnel_age.map(|millis| format!("{millis}ms").parse().unwrap()),
                probe_ports: opaque.iter().map(|port| port ^ 1).filter(|port| *port > 0).collect(),
                opaque_ports: opaque,
                forwarded_for,
                proxy_protocol,
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
                threads: threads.to_string().parse().unwrap(),
                max_connections: "7".parse().unwrap(),
                memory_limit: Some("64Mi".parse().unwrap()),
                head_limit: "3Ki".parse().unwrap(),
                drain_timeout: format!("{drain_millis}ms").parse().unwrap(),
                log_level: level,
            }
        }
    }

    fn liveness() -> impl Strategy<Value = Liveness> {
        let socket = any::<NonZeroU16>().prop_map(Question::Tcp);
        let header = ("[a-zA-Z-]{1,8}", "[ -~é]{0,8}");
        let get = (
            any::<NonZeroU16>(),
            any::<bool>(),
            "/([a-z$()?=]|%[0-9A-F]{2}){0,8}",
            prop::collection::vec(header, 0..3),
        );
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
}
