//! The places of one app container that injection writes to.

use serde_json::Value;

use crate::blank::Blanks;
use crate::hook;
use crate::node::{Node, Unreadable};
use crate::plan::Plan;
use crate::pod::Container;
use crate::probe;
use crate::status::Record;

/// The places of an app container.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AppSites {
    pub(crate) lifecycle: Option<Value>,
    /// By [`probe::KINDS`].
    pub(crate) probes: [Option<Value>; 3],
}

impl AppSites {
    pub(super) fn read(container: &Node<'_>) -> Result<Self, Unreadable> {
        let lifecycle = container.member("lifecycle")?;
        lifecycle.member("preStop")?.object()?;
        let mut probes = [const { None }; 3];
        for (kind, probe) in probe::KINDS.iter().zip(&mut probes) {
            let node = container.member(kind)?;
            node.member("tcpSocket")?.object()?;
            *probe = node.raw().cloned();
        }
        Ok(Self { lifecycle: lifecycle.raw().cloned(), probes })
    }

    pub(super) fn undone(&self, name: &str, record: Option<&Record>, blanks: &Blanks) -> Self {
        let probes = self.each_probe(|kind, probe| probe::undone(probe, recorded(record, name, kind)));
        Self { lifecycle: hook::undone(self.lifecycle.as_ref(), name, blanks), probes }
    }

    pub(super) fn injected(&self, app: &Container, plan: &Plan, record: &mut Record) -> Self {
        let probes = self.each_probe(|kind, probe| match probe::dials(probe, app, |port| plan.takes(port)) {
            Some((socket, port)) => {
                record.sockets.entry(app.name.clone()).or_default().insert(kind.to_owned(), socket.clone());
                probe::asking(probe, port)
            }
            None => probe.clone(),
        });
        let lifecycle = self.lifecycle.as_ref();
        let waiting = hook::waiting(lifecycle).filter(|_| plan.held.contains(&app.name));
        if waiting.is_some() {
            hook::note(lifecycle, &app.name, &mut record.blanks);
        }
        Self { lifecycle: waiting.or_else(|| lifecycle.cloned()), probes }
    }

    pub(super) fn mended(&self, name: &str, record: Option<&Record>) -> Self {
        let probes = self.each_probe(|kind, probe| probe::mended(probe, recorded(record, name, kind)));
        Self { lifecycle: hook::mended(self.lifecycle.as_ref()), probes }
    }

    fn each_probe(&self, mut edit: impl FnMut(&'static str, &Value) -> Value) -> [Option<Value>; 3] {
        let mut edited = self.probes.clone();
        for (kind, probe) in probe::KINDS.iter().zip(&mut edited) {
            *probe = probe.as_ref().map(|probe| edit(kind, probe));
        }
        edited
    }
}

fn recorded<'a>(record: Option<&'a Record>, name: &str, kind: &str) -> Option<&'a Value> {
    record?.socket(name, kind)
}
