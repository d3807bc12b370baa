//! The settings of the running proxy.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use crate::balance::{BalanceSettings, NamespaceName};
use crate::fault::{Fault, Faults};
use crate::hold::HoldPort;
use crate::option::{OptionSpec, RawOptions};
use crate::pod_network::{Ip, PodNetwork};
use crate::redirect::{Probe, pairs, written};
use crate::table::{Annotation, ProxyOption, SharedSettings, Source, shared_option};
use crate::tls::TlsSettings;
use crate::value::{
    AppAddress, Auto, ByteSize, ControlSocket, InvalidValue, Liveness, MaxConnections, MaxRequests, MemoryQuantity,
    PortNumber, SocketAddress, Span,
};

/// The settings of `recycling-proxy run`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxySettings {
    /// The listeners and their apps.
    pub routes: Routes,
    /// Requests after which a connection is retired.
    pub max_requests: MaxRequests,
    /// The settings of balancing; `None` without it.
    pub balance: Option<BalanceSettings>,
    /// The namespace of the pod; `None` if it is not set. `balance` needs it.
    pub namespace: Option<NamespaceName>,
    /// The settings that are annotations, too.
    pub shared: SharedSettings,
    /// App ports whose connections become tunnels without detection.
    pub opaque_ports: BTreeSet<u16>,
    /// The TLS that the proxy terminates; `None` for TLS that passes through.
    pub tls: Option<TlsSettings>,
    /// The app ports that are redirected, as far as they are known.
    pub ports: BTreeSet<u16>,
    /// The address of the admin port.
    pub admin: SocketAddr,
    /// The liveness probes of held containers, as far as the proxy can run them.
    pub liveness: Liveness,
    /// App ports to which the admin endpoints may connect for a rewritten `tcpSocket` probe, beside those of fixed
    /// routes.
    pub probe_ports: BTreeSet<u16>,
    /// The ports by which probes bypass the proxy, each with the app's port, for a pod without redirection.
    pub probes: BTreeMap<u16, u16>,
    /// The addresses of the pod and its node.
    pub network: PodNetwork,
    /// The hold ports.
    pub hold: Vec<HoldPort>,
    /// The socket for commands that change state.
    pub control: ControlSocket,
    /// The most client connections at once.
    pub max_connections: MaxConnections,
    /// The memory limit of the process; `None` for that of its control group.
    pub memory_limit: Option<MemoryQuantity>,
    /// The longest message head that is forwarded.
    pub head_limit: ByteSize,
    /// The bound on a drain.
    pub drain_timeout: Span,
}

/// Where clients connect and where their connections go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Routes {
    /// Each listener has one app.
    Fixed(Vec<Route>),
    /// Connections are redirected to these listeners; the kernel returns their original port (`SO_ORIGINAL_DST`).
    OriginalDestination(Vec<SocketAddr>),
}

/// A listener and its app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The address of the listener.
    pub listen: SocketAddr,
    /// The address of the app.
    pub app: AppAddress,
}

impl ProxySettings {
    /// Parses raw options.
    ///
    /// # Errors
    /// Every fault at once.
    pub fn from_raw(raw: &RawOptions<ProxyOption>) -> Result<Self, Faults> {
        let mut faults = Vec::new();
        let settings = Self::parse(raw, &mut faults);
        Faults::settle(settings, faults)
    }

    fn parse(raw: &RawOptions<ProxyOption>, faults: &mut Vec<Fault>) -> Option<Self> {
        // Every field is parsed before the first `?`, so that no fault hides another.
        let routes = routes(raw, faults);
        let max_requests = raw.one(ProxyOption::MaxRequests, faults);
        let shared = SharedSettings::parse(raw, faults);
        let namespace = raw.one(ProxyOption::Namespace, faults);
        let balance = BalanceSettings::parse(raw, namespace.as_ref(), faults);
        let opaque_ports = raw.list::<PortNumber>(ProxyOption::OpaquePorts, faults);
        let tls = TlsSettings::parse(raw, faults);
        let ports = raw.list::<PortNumber>(ProxyOption::Ports, faults);
        let admin = raw.one::<SocketAddress>(ProxyOption::Admin, faults);
        let liveness = raw.one(ProxyOption::Liveness, faults);
        let probe_ports = raw.list::<PortNumber>(ProxyOption::ProbePorts, faults);
        let probes = raw.list::<Probe>(ProxyOption::Probes, faults);
        let hold = raw.list(ProxyOption::Hold, faults);
        let control = raw.one(ProxyOption::Control, faults);
        let max_connections = raw.one(ProxyOption::MaxConnections, faults);
        let memory_limit = raw.one::<Auto<MemoryQuantity>>(ProxyOption::MemoryLimit, faults);
        let head_limit = raw.one(ProxyOption::HeadLimit, faults);
        let drain_timeout = raw.one(ProxyOption::DrainTimeout, faults);
        let network = PodNetwork {
            pod_ip: raw.one(ProxyOption::PodIp, faults).map(|Ip(address)| address),
            host_ip: raw.one(ProxyOption::HostIp, faults).map(|Ip(address)| address),
        };
        Some(Self {
            routes: routes?,
            max_requests: max_requests?,
            balance,
            namespace,
            shared: shared?,
            opaque_ports: opaque_ports.into_iter().map(|PortNumber(port)| port).collect(),
            tls,
            ports: ports.into_iter().map(|PortNumber(port)| port).collect(),
            admin: admin?.get(),
            liveness: liveness?,
            probe_ports: probe_ports.into_iter().map(|PortNumber(port)| port).collect(),
            probes: pairs(probes),
            network,
            hold,
            control: control?,
            max_connections: max_connections?,
            memory_limit: memory_limit?.0,
            head_limit: head_limit?,
            drain_timeout: drain_timeout?,
        })
    }

    /// Returns the environment from which these settings are parsed: the values that differ from the defaults, and
    /// always the limit of requests, so that `kubectl get -o yaml` shows it.
    ///
    /// Defaults are left out, so that injected pod templates do not change when a later version has more options.
    pub fn to_env(&self) -> Vec<(&'static str, String)> {
        let texts = ProxyOption::ALL.iter().map(|option| (*option, self.text(*option)));
        let told = texts.filter_map(|(option, text)| Some((option, text?))).filter(|(option, text)| {
            matches!(option, ProxyOption::MaxRequests | ProxyOption::Jitter) || option.default() != Some(text)
        });
        told.map(|(option, text)| (option.env(), text)).collect()
    }

    /// Returns the addresses on which the proxy accepts client connections.
    pub fn listen_addresses(&self) -> Vec<SocketAddr> {
        match &self.routes {
            Routes::Fixed(routes) => routes.iter().map(|route| route.listen).collect(),
            Routes::OriginalDestination(listen) => listen.clone(),
        }
    }

    /// Returns the addresses of the ports on which `preStop` hooks of apps are held.
    pub fn hold_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.hold.iter().map(|hold| SocketAddr::new(self.admin.ip(), hold.port))
    }

    /// Returns every TCP address on which the proxy listens.
    pub fn own_addresses(&self) -> Vec<SocketAddr> {
        self.listen_addresses().into_iter().chain([self.admin]).chain(self.hold_addresses()).collect()
    }

    /// Returns the ports of the app to which connections are expected.
    pub fn app_ports(&self) -> BTreeSet<u16> {
        let fixed = match &self.routes {
            Routes::Fixed(routes) => routes.as_slice(),
            Routes::OriginalDestination(_) => &[],
        };
        fixed.iter().map(|route| route.app.port()).chain(self.ports.iter().copied()).collect()
    }

    fn text(&self, option: ProxyOption) -> Option<String> {
        match option {
            shared_option!() => self.shared.text(option),
            ProxyOption::Listen => Some(joined(self.listen_addresses())),
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
            ProxyOption::OpaquePorts => (!self.opaque_ports.is_empty()).then(|| joined(&self.opaque_ports)),
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
            ProxyOption::MaxConnections => Some(self.max_connections.to_string()),
            ProxyOption::MemoryLimit => Some(Auto(self.memory_limit).to_string()),
            ProxyOption::HeadLimit => Some(self.head_limit.to_string()),
            ProxyOption::DrainTimeout => Some(self.drain_timeout.to_string()),
            ProxyOption::PodIp => self.network.pod_ip.map(|address| address.to_string()),
            ProxyOption::HostIp => self.network.host_ip.map(|address| address.to_string()),
        }
    }
}

fn routes(raw: &RawOptions<ProxyOption>, faults: &mut Vec<Fault>) -> Option<Routes> {
    let before = faults.len();
    let listen = raw.list::<SocketAddress>(ProxyOption::Listen, faults);
    let listen: Vec<SocketAddr> = listen.into_iter().map(SocketAddress::get).collect();
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

impl Source for RawOptions<ProxyOption> {
    fn one<T: FromStr<Err = InvalidValue>>(
        &self,
        _: Annotation,
        option: ProxyOption,
        faults: &mut Vec<Fault>,
    ) -> Option<T> {
        Self::one(self, option, faults)
    }
}

#[cfg(test)]
mod tests;
