//! The places of one app container that injection writes to.

use serde_json::Value;

use crate::blank::put;
use crate::detour::Detours;
use crate::earlier::Earlier;
use crate::handler;
use crate::hook;
use crate::names::{PortNames, Renaming};
use crate::node::{Node, Unreadable};
use crate::pod::Container;
use crate::probe;
use crate::probe_ports::ProbePorts;
use crate::status::Record;

/// Where a container stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Among `containers`.
    Container,
    /// Among `initContainers`, under this name.
    Sidecar(String),
}

/// The places of an app container.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AppSites {
    pub(crate) place: Place,
    /// Whose names move.
    pub(crate) ports: Option<Value>,
    pub(crate) lifecycle: Option<Value>,
    /// By [`probe::KINDS`].
    pub(crate) probes: [Option<Value>; 3],
}

impl AppSites {
    pub(super) fn read(container: &Node<'_>, place: Place) -> Result<Self, Unreadable> {
        let lifecycle = container.member("lifecycle")?;
        lifecycle.member("preStop")?.object()?;
        let mut probes = [const { None }; 3];
        for (kind, probe) in probe::KINDS.iter().zip(&mut probes) {
            let node = container.member(kind)?;
            node.member("tcpSocket")?.object()?;
            *probe = node.raw().cloned();
        }
        let ports = container.member("ports")?.raw().cloned();
        Ok(Self { place, ports, lifecycle: lifecycle.raw().cloned(), probes })
    }

    /// Whether these are the places of the native sidecar of this name.
    pub(super) fn is_sidecar(&self, called: Option<&str>) -> bool {
        matches!(&self.place, Place::Sidecar(name) if Some(name.as_str()) == called)
    }

    /// Writes them to the container.
    pub(super) fn write(&self, container: &mut Value) {
        let Some(members) = container.as_object_mut() else { return };
        put(members, "ports", self.ports.clone());
        put(members, "lifecycle", self.lifecycle.clone());
        for (kind, probe) in probe::KINDS.iter().zip(&self.probes) {
            put(members, kind, probe.clone());
        }
    }

    pub(super) fn undone(&self, name: &str, earlier: &Earlier) -> Self {
        let record = earlier.record.as_ref();
        let (detours, back) = (Detours::of(&earlier.names), earlier.names.back(self.ports.as_ref()));
        let past = Detours::past_proxy(&earlier.probes);
        let probes = self.each_probe(|kind, probe| probe::undone(probe, recorded(record, name, kind)));
        let lifecycle = hook::undone(self.lifecycle.as_ref(), name, earlier.blanks());
        let straight = Self { lifecycle, probes, ..self.clone() }.each_handler(|place, holder| {
            let recorded = record.and_then(|record| record.handler_port(name, place));
            past.undone(&detours.undone(holder, recorded, &back), recorded, &back)
        });
        straight.renamed(&back)
    }

    /// With probes that only connect going past the proxy, which would take them in any case.
    pub(crate) fn past_proxy(self, app: &Container, probes: &ProbePorts, record: &mut Record) -> Self {
        let detours = Detours::past_proxy(probes);
        let probes = self.each_probe(|place, probe| led(&detours, place, probe, app, record));
        Self { probes, ..self }
    }

    /// With everything that says something to the app going through the proxy, whose header the app expects.
    pub(crate) fn by_way_of_proxy(self, app: &Container, names: &PortNames, record: &mut Record) -> Self {
        let detours = Detours::of(names);
        self.each_handler(|place, holder| led(&detours, place, holder, app, record))
    }

    pub(super) fn mended(&self, app: &Container, earlier: &Earlier) -> Self {
        let Earlier { record, names, probes: ports, .. } = earlier;
        let record = record.as_ref();
        let probes = self.each_probe(|kind, probe| probe::mended(probe, recorded(record, &app.name, kind)));
        let mended = Self { lifecycle: hook::mended(self.lifecycle.as_ref()), probes, ..self.clone() };
        let led = match record.filter(|record| !record.handler_ports.is_empty()) {
            Some(record) => {
                let mut record = record.clone();
                mended.past_proxy(app, ports, &mut record).by_way_of_proxy(app, names, &mut record)
            }
            None => mended,
        };
        led.renamed(&names.away(self.ports.as_ref()))
    }

    /// The first of [`probe::KINDS`].
    pub(crate) fn liveness_probe(&self) -> Option<&Value> {
        let [liveness, _, _] = &self.probes;
        liveness.as_ref()
    }

    /// The ports of this pod that its probes and hooks go to.
    pub(crate) fn handler_ports(&self, app: &Container) -> Vec<u16> {
        let mut ports = Vec::new();
        _ = self.clone().each_handler(|_, holder| {
            let handlers = handler::KINDS.iter().filter_map(|kind| holder.get(*kind));
            ports.extend(handlers.filter_map(|handler| handler::port_here(handler, app)));
            holder.clone()
        });
        ports
    }

    pub(crate) fn renamed(self, renaming: &Renaming) -> Self {
        let renamed = self.each_handler(|_, holder| renaming.handler(holder));
        Self { ports: renaming.ports(renamed.ports.as_ref()), ..renamed }
    }

    /// Each probe and each hook, by the name of its place.
    fn each_handler(self, mut edit: impl FnMut(&'static str, &Value) -> Value) -> Self {
        let probes = self.each_probe(&mut edit);
        let mut lifecycle = self.lifecycle.clone();
        for place in hook::KINDS {
            if let Some(holder) = lifecycle.as_mut().and_then(|lifecycle| lifecycle.get_mut(place)) {
                *holder = edit(place, holder);
            }
        }
        Self { lifecycle, probes, ..self }
    }

    pub(crate) fn each_probe(&self, mut edit: impl FnMut(&'static str, &Value) -> Value) -> [Option<Value>; 3] {
        let mut edited = self.probes.clone();
        for (kind, probe) in probe::KINDS.iter().zip(&mut edited) {
            *probe = probe.as_ref().map(|probe| edit(kind, probe));
        }
        edited
    }
}

/// The probe or hook on its detour, where it takes one; `record` then has the port that it went to.
fn led(detours: &Detours, place: &str, holder: &Value, app: &Container, record: &mut Record) -> Value {
    let Some((port, led)) = detours.taken(holder, app) else { return holder.clone() };
    record.handler_ports.entry(app.name.clone()).or_default().insert(place.to_owned(), port);
    led
}

fn recorded<'a>(record: Option<&'a Record>, name: &str, kind: &str) -> Option<&'a Value> {
    record?.socket(name, kind)
}
