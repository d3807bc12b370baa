//! Makes a plan for a pod.

use std::collections::BTreeSet;
use std::time::Duration;

use settings::{
    Interception, ObjectName, PROXY_PORT, PodNetwork, ProxySettings, RawOptions, RedirectSettings, Sidecar, Span,
    TLS_FOLDER, TlsSettings, WorkloadSettings,
};

use crate::additions::hook;
use crate::additions::plan::{InterceptionPlan, Plan};
use crate::fields::probe;
use crate::fields::{ContainerFields, Fields, Place};
use crate::namespace::NamespaceFacts;
use crate::outcome::refusal::Refusal;
use crate::outcome::report::{Note, ServiceTarget};
use crate::outcome::skip::SkipReason;
use crate::planning::eligibility;
use crate::planning::fit;
use crate::planning::liveness;
use crate::planning::ports::Ports;
use crate::planning::quotas;
use crate::pod::{Container, Pod};
use crate::proxy_ports::hold_ports;
use crate::proxy_ports::port_names::PortNames;
use crate::proxy_ports::probe_ports::ProbePorts;
use crate::resources::constraints::ResourceConstraints;
use crate::resources::requirements::Resources;

/// Makes a plan for a pod whose `fields` are as its author wrote them. `new_replicas` is the number of pods that get
/// the proxy for the first time.
pub(crate) fn plan(
    settings: WorkloadSettings,
    interception: Interception,
    pod: &Pod,
    fields: &Fields,
    namespace: Option<&NamespaceFacts>,
    new_replicas: u64,
) -> Result<Plan, Refusal> {
    eligibility::check(pod, namespace)?;
    let ports = Ports::choose(&settings, interception, pod)?;
    let mut notes = Vec::new();
    let serving = serving(pod, &ports, fields);
    let held = if settings.hold_app.is_on() { held(&serving, &mut notes) } else { BTreeSet::new() };
    let resources = resources(&settings.sidecar, pod, namespace, new_replicas, &mut notes)?;
    let liveness = liveness::probes(&held, pod, fields, &ports, &settings);
    let used = used_ports(pod, &ports, fields);
    let holds = hold_ports::choose(&held, &liveness, &used)?;
    let interception = intercept(interception, pod, &ports, fields, &used, &mut notes)?;
    let defaults = ProxySettings::from_raw(&RawOptions::default())?;
    let proxy = ProxySettings {
        routes: interception.routes().unwrap_or(defaults.routes),
        max_requests: settings.max_requests.unwrap_or(defaults.max_requests),
        shared: settings.shared,
        opaque_ports: ports.opaque,
        ports: interception.ports(),
        liveness,
        probes: interception.probes(),
        hold: hold_ports::to_settings(&holds),
        tls: settings.tls.as_ref().map(|tls| TlsSettings::in_folder(TLS_FOLDER, tls.towards_app)),
        drain_timeout: drain_timeout(settings.drain_timeout, pod.grace_period_seconds, &mut notes),
        ..defaults
    };
    let max_requests = settings.max_requests;
    let target = target(pod, settings.ports.is_some());
    let tls_secret = settings.tls.map(|tls| tls.secret);
    let sidecars = serving.iter().filter(|(_, fields)| fields.place != Place::Container);
    let serving_sidecars = sidecars.map(|(app, _)| app.name.clone()).collect();
    let (ports, sidecar) = (ports.intercepted, settings.sidecar);
    Ok(Plan {
        ports,
        interception,
        max_requests,
        target,
        proxy,
        sidecar,
        resources,
        tls_secret,
        held: holds.into_iter().map(|hold| (hold.container, hold.port)).collect(),
        serving_sidecars,
        has_own_user: true,
        has_own_app_armor: pod.has_local_app_armor,
        notes,
    })
}

/// Returns the resources of the injected containers, fitted into the constraints of the pod and of its namespace.
fn resources(
    sidecar: &Sidecar,
    pod: &Pod,
    namespace: Option<&NamespaceFacts>,
    new_replicas: u64,
    notes: &mut Vec<Note>,
) -> Result<Resources, Refusal> {
    let unknown = ResourceConstraints::default();
    let constraints = namespace.map_or(&unknown, |facts| &facts.constraints);
    let resources = fit::fitted(sidecar, pod, constraints, notes)?;
    // A pod is `Guaranteed` only if each of its containers is.
    if pod.is_guaranteed_by_containers()
        && !resources.allocations().iter().all(|(_, allocation)| allocation.is_guaranteed())
    {
        notes.push(Note::NotGuaranteed);
    }
    notes.extend(quotas::short_quotas(&resources, pod, constraints, new_replicas));
    Ok(resources)
}

/// Returns the interception. `used` has the ports that the proxy cannot listen on.
fn intercept(
    interception: Interception,
    pod: &Pod,
    ports: &Ports,
    fields: &Fields,
    used: &BTreeSet<u16>,
    notes: &mut Vec<Note>,
) -> Result<InterceptionPlan, Refusal> {
    Ok(match interception {
        Interception::Redirect => {
            let probes = ProbePorts::choose(&probed(pod, ports, fields), used)?;
            let (ports, to) = (ports.intercepted.clone(), PROXY_PORT);
            let network = PodNetwork::default();
            InterceptionPlan::Redirect(
                RedirectSettings { ports, to, probes: probes.clone().into_inner(), network },
                probes,
            )
        }
        Interception::NamedPort => {
            notes.push(Note::ByNameAlone);
            notes.extend(ports.unnamed.iter().map(|port| Note::Unnamed { port: *port }));
            let names = PortNames::from(ports.names.clone());
            // The app may listen on the ports of its probes and hooks, and one with a proxy port would be taken for a
            // rewritten one.
            if names.listeners().any(|listener| used.contains(&listener.port)) {
                return Err(SkipReason::PortClash.into());
            }
            InterceptionPlan::NamedPort(names)
        }
    })
}

/// Returns the labels and ports by which Services find the pods.
fn target(pod: &Pod, is_chosen: bool) -> ServiceTarget {
    let ports = pod.apps.iter().flat_map(Container::tcp_ports);
    let declared = ports.map(|port| (port.number, port.name.clone())).collect();
    ServiceTarget { labels: pod.labels.clone(), declared, is_chosen }
}

/// Returns the containers that may serve an intercepted port: those that declare one and, if a port is not declared,
/// all others. Native sidecars count only if a probe or hook of theirs calls an intercepted port, because most are
/// agents that serve something else.
fn serving<'a>(pod: &'a Pod, ports: &Ports, fields: &'a Fields) -> Vec<(&'a Container, &'a ContainerFields)> {
    let may_serve = |(app, fields): &(&Container, &ContainerFields)| match fields.place {
        Place::Container => ports.may_be_served_by(app, pod),
        Place::Sidecar(_) => {
            let declared = app.tcp_ports().map(|port| port.number);
            declared.chain(fields.handler_ports(app)).any(|port| ports.intercepted.contains(&port))
        }
    };
    pod.apps.iter().zip(&fields.apps).filter(may_serve).collect()
}

/// Returns those of the containers that have no `preStop` hook.
///
/// Containers whose names Kubernetes does not allow are left out, because the variable with the hold ports could not be
/// parsed. The API server refuses such a pod, but only after the webhooks.
fn held(serving: &[(&Container, &ContainerFields)], notes: &mut Vec<Note>) -> BTreeSet<String> {
    let mut held = BTreeSet::new();
    for (app, fields) in serving {
        if hook::has_pre_stop(fields.lifecycle.as_ref()) {
            notes.push(Note::OwnHook { container: app.name.clone() });
        } else if app.name.parse::<ObjectName>().is_ok() {
            held.insert(app.name.clone());
        }
    }
    held
}

/// Returns the intercepted ports that TCP probes call.
fn probed(pod: &Pod, ports: &Ports, fields: &Fields) -> BTreeSet<u16> {
    let of_app = |(app, fields): (&Container, &ContainerFields)| {
        let dialled = |probe| probe::dialled_port(probe, app, |port| ports.intercepted.contains(&port));
        fields.probes.iter().flatten().filter_map(dialled).collect::<Vec<_>>()
    };
    pod.apps.iter().zip(&fields.apps).flat_map(of_app).collect()
}

/// Returns the ports that a container declares, or that are intercepted, or that a probe or hook calls.
fn used_ports(pod: &Pod, ports: &Ports, fields: &Fields) -> BTreeSet<u16> {
    let declared = pod.apps.iter().chain(&pod.init_containers).flat_map(Container::tcp_ports).map(|port| port.number);
    let asked = pod.apps.iter().zip(&fields.apps).flat_map(|(app, fields)| fields.handler_ports(app));
    ports.intercepted.iter().copied().chain(declared).chain(asked).collect()
}

/// Returns the limit on the drain: at most two thirds of the grace period, so that the app has a third for its own
/// shutdown.
fn drain_timeout(asked: Span, grace_period_seconds: u64, notes: &mut Vec<Note>) -> Span {
    let two_thirds = Duration::from_secs(grace_period_seconds).saturating_mul(2) / 3;
    // Whole seconds are easier to read.
    let two_thirds =
        if two_thirds >= Duration::from_secs(1) { Duration::from_secs(two_thirds.as_secs()) } else { two_thirds };
    match Span::new(two_thirds.max(Duration::from_millis(1))) {
        Some(cut) if cut < asked => {
            notes.push(Note::DrainCut { asked, cut });
            cut
        }
        // A `Span` has at most 365 days, so a longer bound cuts nothing.
        Some(_) | None => asked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drain_leaves_the_app_a_third_of_the_grace_period() {
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
