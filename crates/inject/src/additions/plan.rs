//! What an injection will do, before any JSON is written.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;

use settings::{
    AppAddress, Interception, MaxRequests, ProxyProtocol, ProxySettings, RedirectSettings, Route, Routes, SecretName,
    Sidecar,
};

use crate::outcome::report::{Note, Report, ServiceTarget};
use crate::proxy_ports::port_names::{Listener, PortNames};
use crate::proxy_ports::probe_ports::ProbePorts;
use crate::resources::requirements::Resources;

/// What an injection will do.
pub(crate) struct Plan {
    /// The intercepted app ports.
    pub(crate) ports: BTreeSet<u16>,
    pub(crate) interception: InterceptionPlan,
    /// The limit of requests in the settings.
    pub(crate) max_requests: Option<MaxRequests>,
    /// The labels and ports by which Services find the pods.
    pub(crate) target: ServiceTarget,
    pub(crate) proxy: ProxySettings,
    pub(crate) sidecar: Sidecar,
    /// The resources of both containers.
    pub(crate) resources: Resources,
    /// The Secret with the certificate with which the proxy terminates TLS.
    pub(crate) tls_secret: Option<SecretName>,
    /// The containers that are held during the drain, each with the proxy's port that its hook calls.
    pub(crate) held: BTreeMap<String, u16>,
    /// Native sidecars that are not injected and serve an intercepted port. The proxy precedes them, because their
    /// startup probes may need it.
    pub(crate) serving_sidecars: BTreeSet<String>,
    /// Whether the proxy's container sets its user. On OpenShift the namespace assigns it.
    pub(crate) has_own_user: bool,
    /// Whether the containers set an `AppArmor` profile, because the pod's is for the app.
    pub(crate) has_own_app_armor: bool,
    pub(crate) notes: Vec<Note>,
}

/// How connections reach the proxy.
pub(crate) enum InterceptionPlan {
    /// nftables rules redirect them. The rules also forward rewritten probes to the app.
    Redirect(RedirectSettings, ProbePorts),
    /// The names of the app's ports are moved to the proxy's ports.
    NamedPort(PortNames),
}

impl Plan {
    /// Returns whether the app expects a PROXY protocol header on each connection.
    pub(crate) fn begins_with_header(&self) -> bool {
        match self.proxy.shared.proxy_protocol {
            ProxyProtocol::V1 | ProxyProtocol::V2 => true,
            ProxyProtocol::Off => false,
        }
    }

    pub(crate) fn report(self) -> Report {
        let interception = match self.interception {
            InterceptionPlan::Redirect(..) => Interception::Redirect,
            InterceptionPlan::NamedPort(_) => Interception::NamedPort,
        };
        Report {
            ports: self.ports,
            interception,
            max_requests: self.max_requests,
            drain_timeout: self.proxy.drain_timeout,
            target: self.target,
            notes: self.notes,
        }
    }
}

impl InterceptionPlan {
    /// Returns the value of the proxy's option `--ports`; empty with named-port, where its listeners name the ports.
    pub(crate) fn ports(&self) -> BTreeSet<u16> {
        match self {
            Self::Redirect(settings, _) => settings.ports.clone(),
            Self::NamedPort(_) => BTreeSet::new(),
        }
    }

    /// Returns the ports that bypass the proxy for probes, each with the app's port.
    pub(crate) fn probes(&self) -> BTreeMap<u16, u16> {
        match self {
            Self::Redirect(settings, _) => settings.probes.clone(),
            Self::NamedPort(_) => BTreeMap::new(),
        }
    }

    /// Returns the port names that move to the proxy.
    pub(crate) fn names(&self) -> PortNames {
        match self {
            Self::Redirect(..) => PortNames::default(),
            Self::NamedPort(names) => names.clone(),
        }
    }

    /// Returns the proxy's ports that have names of the app's ports.
    pub(crate) fn listeners(&self) -> impl Iterator<Item = Listener<'_>> {
        let names = match self {
            Self::Redirect(..) => None,
            Self::NamedPort(names) => Some(names),
        };
        names.into_iter().flat_map(PortNames::listeners)
    }

    /// Returns the fixed routes; `None` if the proxy gets the original destination of each connection from the kernel.
    pub(crate) fn routes(&self) -> Option<Routes> {
        let route = |listener: Listener<'_>| Route {
            listen: (Ipv6Addr::UNSPECIFIED, listener.port).into(),
            app: AppAddress::OfPod(listener.app),
        };
        match self {
            Self::Redirect(..) => None,
            Self::NamedPort(_) => Some(Routes::Fixed(self.listeners().map(route).collect())),
        }
    }
}
