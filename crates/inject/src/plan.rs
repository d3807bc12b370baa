//! What an injection will do, before any JSON is written.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;
use std::time::Duration;

use settings::{
    AppAddress, Interception, PROXY_PORT, PodNetwork, ProxyProtocol, ProxySettings, RawOptions, RedirectSettings,
    Route, Routes, SecretName, Sidecar, Span, TLS_FOLDER, TlsSettings, WorkloadSettings,
};

use crate::demands::Demands;
use crate::fit::{self, Resources};
use crate::hold_ports;
use crate::hook;
use crate::liveness;
use crate::names::{Listener, PortNames};
use crate::namespace::NamespaceFacts;
use crate::pod::{Container, Pod};
use crate::ports::Ports;
use crate::probe;
use crate::probe_ports::ProbePorts;
use crate::refusal::Refusal;
use crate::report::{Note, Report};
use crate::sites::{AppSites, Place, Sites};
use crate::skip::SkipReason;
use crate::suitability;

/// What an injection will do.
pub(crate) struct Plan {
    /// The app ports that are taken.
    ports: BTreeSet<u16>,
    pub(crate) takeover: Takeover,
    pub(crate) proxy: ProxySettings,
    pub(crate) sidecar: Sidecar,
    /// The resources of both containers.
    pub(crate) resources: Resources,
    /// The Secret with the certificate that TLS is ended with.
    pub(crate) tls_secret: Option<SecretName>,
    /// The containers that wait for the drain, each with the proxy's port where it does.
    pub(crate) held: BTreeMap<String, u16>,
    /// Native sidecars of others that serve a taken port. Their startup probes may need what is injected, which so comes before them.
    pub(crate) serving_sidecars: BTreeSet<String>,
    /// Whether the proxy says which user it runs as. On OpenShift the pod's user is one of its namespace's.
    pub(crate) has_own_user: bool,
    pub(crate) notes: Vec<Note>,
}

/// By what traffic reaches the proxy.
pub(crate) enum Takeover {
    /// By rules of the kernel's, which also lead probes that only connect past the proxy.
    Redirect(RedirectSettings, ProbePorts),
    /// By names that are the proxy's now.
    NamedPort(PortNames),
}

impl Plan {
    /// Plans for a pod whose sites are as its author wrote them, and of which so many are to be injected for the first time.
    pub(crate) fn make(
        settings: WorkloadSettings,
        interception: Interception,
        pod: &Pod,
        sites: &Sites,
        namespace: Option<&NamespaceFacts>,
        new_replicas: u64,
    ) -> Result<Self, Refusal> {
        suitability::check(pod, namespace)?;
        let ports = Ports::choose(&settings, interception, pod)?;
        let mut notes = Vec::new();
        let serving = serving(pod, &ports, sites);
        let held = if settings.hold_app.is_on() { held(&serving, &mut notes) } else { BTreeSet::new() };
        let unknown = Demands::default();
        let demands = namespace.map_or(&unknown, |facts| &facts.demands);
        let resources = Resources::fitted(&settings.sidecar, pod, demands, &mut notes)?;
        // The kubelet spares pods whose every container asks for what it may use; one that does not ends that for all.
        if pod.is_guaranteed_by_containers() && !resources.shares().iter().all(|(_, share)| share.is_guaranteed()) {
            notes.push(Note::NotGuaranteed);
        }
        notes.extend(fit::short_quotas(&resources, pod, demands, new_replicas));
        let liveness = liveness::of(&held, pod, sites, &ports, &settings);
        let used = used_ports(pod, &ports, sites);
        let waiting = hold_ports::choose(&held, &liveness, &used)?;
        let takeover = match interception {
            Interception::Redirect => {
                let probes = ProbePorts::choose(&probed(pod, &ports, sites), &used)?;
                let (ports, to) = (ports.taken.clone(), PROXY_PORT);
                let network = PodNetwork::default();
                Takeover::Redirect(RedirectSettings { ports, to, probes: probes.clone().into_inner(), network }, probes)
            }
            Interception::NamedPort => {
                notes.push(Note::ByNameAlone);
                notes.extend(ports.unnamed.iter().map(|port| Note::Unnamed { port: *port }));
                let names = PortNames::from(ports.names);
                // The app may listen where its probes and hooks go, and one that goes to a port of ours is taken for one that was led there.
                if names.listeners().any(|listener| used.contains(&listener.port)) {
                    return Err(SkipReason::PortClash.into());
                }
                Takeover::NamedPort(names)
            }
        };
        let defaults = ProxySettings::from_raw(&RawOptions::default())?;
        let proxy = ProxySettings {
            routes: takeover.routes().unwrap_or(defaults.routes),
            max_requests: settings.max_requests.unwrap_or(defaults.max_requests),
            jitter: settings.jitter,
            max_age: settings.max_age,
            max_tunnel_age: settings.max_tunnel_age,
            opaque_ports: ports.opaque,
            forwarded_for: settings.forwarded_for,
            proxy_protocol: settings.proxy_protocol,
            liveness,
            probes: takeover.probes(),
            hold: hold_ports::told(&waiting),
            tls: settings.tls.as_ref().map(|tls| TlsSettings::in_folder(TLS_FOLDER, tls.towards_app)),
            threads: settings.sidecar.threads,
            drain_timeout: drain_timeout(settings.drain_timeout, pod.grace_period_seconds, &mut notes),
            log_level: settings.sidecar.log_level,
            ..defaults
        };
        let tls_secret = settings.tls.map(|tls| tls.secret);
        let sidecars = serving.iter().filter(|(_, site)| site.place != Place::Container);
        let serving_sidecars = sidecars.map(|(app, _)| app.name.clone()).collect();
        let (ports, sidecar) = (ports.taken, settings.sidecar);
        Ok(Self {
            ports,
            takeover,
            proxy,
            sidecar,
            resources,
            tls_secret,
            held: waiting.into_iter().map(|hold| (hold.container, hold.port)).collect(),
            serving_sidecars,
            has_own_user: true,
            notes,
        })
    }

    /// Whether the app expects each connection to begin with a header that only the proxy writes.
    pub(crate) fn begins_with_header(&self) -> bool {
        match self.proxy.proxy_protocol {
            ProxyProtocol::V1 | ProxyProtocol::V2 => true,
            ProxyProtocol::Off => false,
        }
    }

    pub(crate) fn report(self) -> Report {
        let interception = match self.takeover {
            Takeover::Redirect(..) => Interception::Redirect,
            Takeover::NamedPort(_) => Interception::NamedPort,
        };
        Report { ports: self.ports, interception, drain_timeout: self.proxy.drain_timeout, notes: self.notes }
    }
}

impl Takeover {
    /// The ports that lead probes past the proxy, each with the app's port.
    fn probes(&self) -> BTreeMap<u16, u16> {
        match self {
            Self::Redirect(settings, _) => settings.probes.clone(),
            Self::NamedPort(_) => BTreeMap::new(),
        }
    }

    /// The names that move.
    pub(crate) fn names(&self) -> PortNames {
        match self {
            Self::Redirect(..) => PortNames::default(),
            Self::NamedPort(names) => names.clone(),
        }
    }

    /// The proxy's ports that have names of the app's.
    pub(crate) fn listeners(&self) -> impl Iterator<Item = Listener<'_>> {
        let names = match self {
            Self::Redirect(..) => None,
            Self::NamedPort(names) => Some(names),
        };
        names.into_iter().flat_map(PortNames::listeners)
    }

    /// `None` where the kernel is asked for each connection.
    fn routes(&self) -> Option<Routes> {
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

/// The containers that may serve a taken port: those that declare one and, where nobody declares one of them, all others, but native sidecars
/// only if a probe or hook goes to a taken port. Agents of other kinds are many among them.
fn serving<'a>(pod: &'a Pod, ports: &Ports, sites: &'a Sites) -> Vec<(&'a Container, &'a AppSites)> {
    let may_serve = |(app, site): &(&Container, &AppSites)| match site.place {
        Place::Container => ports.may_be_served_by(app, pod),
        Place::Sidecar(_) => {
            let declared = app.tcp_ports().map(|port| port.number);
            declared.chain(site.handler_ports(app)).any(|port| ports.taken.contains(&port))
        }
    };
    pod.apps.iter().zip(&sites.apps).filter(may_serve).collect()
}

/// The containers of these that have no `preStop` of their own.
fn held(serving: &[(&Container, &AppSites)], notes: &mut Vec<Note>) -> BTreeSet<String> {
    let mut held = BTreeSet::new();
    for (app, site) in serving {
        if hook::is_there(site.lifecycle.as_ref()) {
            notes.push(Note::OwnHook { container: app.name.clone() });
        } else {
            held.insert(app.name.clone());
        }
    }
    held
}

/// The taken ports that a TCP probe goes to.
fn probed(pod: &Pod, ports: &Ports, sites: &Sites) -> BTreeSet<u16> {
    let of_app = |(app, site): (&Container, &AppSites)| {
        let dialled = |probe| probe::dials(probe, app, |port| ports.taken.contains(&port));
        site.probes.iter().flatten().filter_map(dialled).collect::<Vec<_>>()
    };
    pod.apps.iter().zip(&sites.apps).flat_map(of_app).collect()
}

/// The ports that a container declares, or that are taken, or that a probe or hook goes to.
fn used_ports(pod: &Pod, ports: &Ports, sites: &Sites) -> BTreeSet<u16> {
    let declared = pod.apps.iter().chain(&pod.init_containers).flat_map(Container::tcp_ports).map(|port| port.number);
    let asked = pod.apps.iter().zip(&sites.apps).flat_map(|(app, site)| site.handler_ports(app));
    ports.taken.iter().copied().chain(declared).chain(asked).collect()
}

/// The drain gets two thirds of the grace period at most, so that the app keeps a share of its own to end in.
fn drain_timeout(asked: Span, grace_period_seconds: u64, notes: &mut Vec<Note>) -> Span {
    let share = Duration::from_secs(grace_period_seconds).saturating_mul(2) / 3;
    // Whole seconds read better; below one there are none.
    let share = if share >= Duration::from_secs(1) { Duration::from_secs(share.as_secs()) } else { share };
    match Span::new(share.max(Duration::from_millis(1))) {
        Some(cut) if cut < asked => {
            notes.push(Note::DrainCut { asked, cut });
            cut
        }
        // Above 365 days there is no span, and nothing to cut.
        Some(_) | None => asked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drain_leaves_the_app_a_third() {
        for (asked, grace, expected) in [
            ("20s", 30, "20s"),
            ("20s", 29, "19s"),
            ("20s", 10, "6s"),
            ("20s", 1, "666ms"),
            ("20s", 0, "1ms"),
            ("5s", 30, "5s"),
            ("10m", 900, "10m"),
            ("20s", u64::MAX, "20s"),
        ] {
            let mut notes = Vec::new();
            let asked: Span = asked.parse().unwrap();
            let span = drain_timeout(asked, grace, &mut notes);
            assert_eq!(span.to_string(), expected, "{asked} of {grace}s");
            let note = (span != asked).then_some(Note::DrainCut { asked, cut: span });
            assert_eq!(notes, note.into_iter().collect::<Vec<_>>());
        }
    }
}
