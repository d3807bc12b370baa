//! The fields of one app container that injection changes.

use serde_json::Value;

use crate::additions::hook;
use crate::additions::previous::PreviousInjection;
use crate::fields::probe;
use crate::fields::probe_rewrite::ProbeRewrite;
use crate::json::empty_form::set_or_remove;
use crate::json::handler;
use crate::json::node::{Node, Unreadable};
use crate::pod::Container;
use crate::proxy_ports::port_names::{PortNames, Renaming};
use crate::proxy_ports::probe_ports::ProbePorts;
use crate::status::Record;

/// The list that a container is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// `containers`.
    Container,
    /// `initContainers`, under this name.
    Sidecar(String),
}

/// The fields of an app container.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ContainerFields {
    pub(crate) place: Place,
    /// `ports`, whose names can move to the proxy.
    pub(crate) ports: Option<Value>,
    pub(crate) lifecycle: Option<Value>,
    /// The probes, in the order of [`probe::KINDS`].
    pub(crate) probes: [Option<Value>; 3],
}

impl ContainerFields {
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

    /// Returns whether the container is the native sidecar with this name.
    pub(super) fn is_sidecar(&self, called: Option<&str>) -> bool {
        matches!(&self.place, Place::Sidecar(name) if Some(name.as_str()) == called)
    }

    /// Writes the fields to the container.
    pub(super) fn write(&self, container: &mut Value) {
        let Some(members) = container.as_object_mut() else { return };
        set_or_remove(members, "ports", self.ports.clone());
        set_or_remove(members, "lifecycle", self.lifecycle.clone());
        for (kind, probe) in probe::KINDS.iter().zip(&self.probes) {
            set_or_remove(members, kind, probe.clone());
        }
    }

    pub(super) fn restored(&self, name: &str, previous: &PreviousInjection) -> Self {
        let record = previous.record.as_ref();
        let (through_proxy, back) =
            (ProbeRewrite::through_proxy(&previous.names), previous.names.restoring(self.ports.as_ref()));
        let bypass = ProbeRewrite::bypassing_proxy(&previous.probes);
        let probes = self.map_probes(|kind, probe| probe::restored(probe, recorded(record, name, kind)));
        let lifecycle = hook::restored(self.lifecycle.as_ref(), name, &previous.holds, previous.empty_forms());
        let restored = Self { lifecycle, probes, ..self.clone() }.map_handlers(|place, holder| {
            let recorded = record.and_then(|record| record.handler_port(name, place));
            bypass.restored(&through_proxy.restored(holder, recorded, &back), recorded, &back)
        });
        restored.renamed(&back)
    }

    /// Rewrites probes that only connect, so that they bypass the proxy and test the app.
    pub(crate) fn bypassing_proxy(self, app: &Container, probes: &ProbePorts, record: &mut Record) -> Self {
        let changes = ProbeRewrite::bypassing_proxy(probes);
        let probes = self.map_probes(|place, probe| rewrite(&changes, place, probe, app, record));
        Self { probes, ..self }
    }

    /// Rewrites probes and hooks that send a request, so that they pass through the proxy, which writes the PROXY
    /// protocol header.
    pub(crate) fn through_proxy(self, app: &Container, names: &PortNames, record: &mut Record) -> Self {
        let changes = ProbeRewrite::through_proxy(names);
        self.map_handlers(|place, holder| rewrite(&changes, place, holder, app, record))
    }

    pub(super) fn repaired(&self, app: &Container, previous: &PreviousInjection) -> Self {
        let PreviousInjection { record, names, probes: ports, .. } = previous;
        let record = record.as_ref();
        let probes = self.map_probes(|kind, probe| probe::repaired(probe, recorded(record, &app.name, kind)));
        let repaired =
            Self { lifecycle: hook::repaired(self.lifecycle.as_ref(), &previous.holds), probes, ..self.clone() };
        let rewritten = match record.filter(|record| !record.handler_ports.is_empty()) {
            Some(record) => {
                let mut record = record.clone();
                repaired.bypassing_proxy(app, ports, &mut record).through_proxy(app, names, &mut record)
            }
            None => repaired,
        };
        rewritten.renamed(&names.moving(self.ports.as_ref()))
    }

    /// Returns the liveness probe.
    pub(crate) fn liveness_probe(&self) -> Option<&Value> {
        let [liveness, _, _] = &self.probes;
        liveness.as_ref()
    }

    /// Returns the ports of this pod that its probes and hooks call.
    pub(crate) fn handler_ports(&self, app: &Container) -> Vec<u16> {
        let mut ports = Vec::new();
        _ = self.clone().map_handlers(|_, holder| {
            let handlers = handler::KINDS.iter().filter_map(|kind| holder.get(*kind));
            ports.extend(handlers.filter_map(|handler| app.port_called_by(handler)));
            holder.clone()
        });
        ports
    }

    pub(crate) fn renamed(self, renaming: &Renaming) -> Self {
        let renamed = self.map_handlers(|_, holder| renaming.handler(holder));
        Self { ports: renaming.ports(renamed.ports.as_ref()), ..renamed }
    }

    /// Changes each probe and each hook; `edit` gets the name of its field.
    fn map_handlers(self, mut edit: impl FnMut(&'static str, &Value) -> Value) -> Self {
        let probes = self.map_probes(&mut edit);
        let mut lifecycle = self.lifecycle.clone();
        for place in hook::KINDS {
            if let Some(holder) = lifecycle.as_mut().and_then(|lifecycle| lifecycle.get_mut(place)) {
                *holder = edit(place, holder);
            }
        }
        Self { lifecycle, probes, ..self }
    }

    pub(crate) fn map_probes(&self, mut edit: impl FnMut(&'static str, &Value) -> Value) -> [Option<Value>; 3] {
        let mut edited = self.probes.clone();
        for (kind, probe) in probe::KINDS.iter().zip(&mut edited) {
            *probe = probe.as_ref().map(|probe| edit(kind, probe));
        }
        edited
    }
}

/// Rewrites a probe or hook if it calls a port of `rewrite`, and stores its original port in `record`.
fn rewrite(rewrite: &ProbeRewrite, place: &str, holder: &Value, app: &Container, record: &mut Record) -> Value {
    let Some((port, rewritten)) = rewrite.apply(holder, app) else { return holder.clone() };
    record.handler_ports.entry(app.name.clone()).or_default().insert(place.to_owned(), port);
    rewritten
}

fn recorded<'a>(record: Option<&'a Record>, name: &str, kind: &str) -> Option<&'a Value> {
    record?.socket(name, kind)
}
