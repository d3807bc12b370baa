//! What an injection will do, before any JSON is written.

use std::collections::BTreeSet;
use std::time::Duration;

use settings::{Faults, PROXY_PORT, ProxySettings, RawOptions, RedirectSettings, Sidecar, Span, WorkloadSettings};

use crate::hook;
use crate::pod::{Container, Pod};
use crate::ports::Ports;
use crate::probe;
use crate::report::{Note, Report};
use crate::sites::{AppSites, Sites};
use crate::skip::SkipReason;
use crate::suitability;

/// Why a workload that asked for the proxy does not get it.
#[derive(Debug)]
pub(crate) enum Refusal {
    Skip(SkipReason),
    Invalid(Faults),
}

impl From<SkipReason> for Refusal {
    fn from(reason: SkipReason) -> Self {
        Self::Skip(reason)
    }
}

impl From<Faults> for Refusal {
    fn from(faults: Faults) -> Self {
        Self::Invalid(faults)
    }
}

/// What an injection will do.
pub(crate) struct Plan {
    pub(crate) redirect: RedirectSettings,
    pub(crate) proxy: ProxySettings,
    pub(crate) sidecar: Sidecar,
    /// The containers that wait for the drain.
    pub(crate) held: BTreeSet<String>,
    pub(crate) notes: Vec<Note>,
}

impl Plan {
    /// Plans for a pod whose sites are as its author wrote them.
    pub(crate) fn make(settings: WorkloadSettings, pod: &Pod, sites: &Sites) -> Result<Self, Refusal> {
        suitability::check(pod)?;
        let ports = Ports::choose(&settings, pod)?;
        let mut notes = Vec::new();
        let held = if settings.hold_app.is_on() { held(pod, &ports, sites, &mut notes) } else { BTreeSet::new() };
        if is_no_longer_guaranteed(pod, &settings.sidecar) {
            notes.push(Note::NotGuaranteed);
        }
        let probe_ports = probed(pod, &ports, sites);
        let proxy = ProxySettings {
            max_requests: settings.max_requests,
            jitter: settings.jitter,
            max_age: settings.max_age,
            max_tunnel_age: settings.max_tunnel_age,
            opaque_ports: ports.opaque,
            forwarded_for: settings.forwarded_for,
            proxy_protocol: settings.proxy_protocol,
            probe_ports,
            threads: settings.sidecar.threads,
            drain_timeout: drain_timeout(settings.drain_timeout, pod.grace_period_seconds, &mut notes),
            log_level: settings.sidecar.log_level,
            ..ProxySettings::from_raw(&RawOptions::default())?
        };
        let redirect = RedirectSettings { ports: ports.taken, to: PROXY_PORT };
        Ok(Self { redirect, proxy, sidecar: settings.sidecar, held, notes })
    }

    pub(crate) fn takes(&self, port: u16) -> bool {
        self.redirect.ports.contains(&port)
    }

    pub(crate) fn report(self) -> Report {
        Report { ports: self.redirect.ports, drain_timeout: self.proxy.drain_timeout, notes: self.notes }
    }
}

/// The containers that may serve a taken port and have no `preStop` of their own.
fn held(pod: &Pod, ports: &Ports, sites: &Sites, notes: &mut Vec<Note>) -> BTreeSet<String> {
    let mut held = BTreeSet::new();
    for (app, site) in pod.apps.iter().zip(&sites.apps).filter(|(app, _)| ports.may_be_served_by(app, pod)) {
        if hook::waiting(site.lifecycle.as_ref()).is_some() {
            held.insert(app.name.clone());
        } else {
            notes.push(Note::OwnHook { container: app.name.clone() });
        }
    }
    held
}

/// The ports that the proxy dials in the place of the kubelet.
fn probed(pod: &Pod, ports: &Ports, sites: &Sites) -> BTreeSet<u16> {
    let of_app = |(app, site): (&Container, &AppSites)| {
        let dialled = |probe| probe::dials(probe, app, |port| ports.taken.contains(&port)).map(|(_, port)| port);
        site.probes.iter().flatten().filter_map(dialled).collect::<Vec<_>>()
    };
    pod.apps.iter().zip(&sites.apps).flat_map(of_app).collect()
}

/// The kubelet spares pods whose every container asks for what it may use; one that does not ends that for all.
fn is_no_longer_guaranteed(pod: &Pod, sidecar: &Sidecar) -> bool {
    let guaranteed = pod.apps.iter().chain(&pod.init_containers).all(|container| container.guaranteed);
    guaranteed && (sidecar.cpu_request != sidecar.cpu_limit || sidecar.memory_request != sidecar.memory_limit)
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
