//! What became of each workload, for standard error.

use std::fmt::Write as _;

use inject::{Decision, Outcome, WorkloadKind};
use serde_json::Value;

/// Lines about workloads, and whether all of them are good news.
#[derive(Default)]
pub(super) struct Report {
    text: String,
    bad_news: bool,
    /// Objects that ask for the proxy and have no pods.
    without_pods: Vec<String>,
}

impl Report {
    /// Tells what became of a workload.
    pub(super) fn add(&mut self, object: &Value, outcome: &Outcome) {
        let name = name(object);
        match outcome {
            Outcome::NotAsked | Outcome::Owned | Outcome::Remove { .. } => {
                self.line(&name, outcome.decision().sentence());
            }
            Outcome::Inject { report, .. } | Outcome::Unchanged { report } => {
                let ports: Vec<String> = report.ports.iter().map(u16::to_string).collect();
                let (ports, way, drain) = (ports.join(", "), report.interception, report.drain_timeout);
                let what = format!("{} (ports {ports} by {way}; drain up to {drain})", outcome.decision().sentence());
                self.line(&name, &what);
                for note in &report.notes {
                    self.line(&name, &format!("note: {note}"));
                }
            }
            Outcome::Skip { reason, .. } => self.bad(&name, &format!("not injected: {reason}")),
            Outcome::Invalid { faults, .. } => {
                for fault in faults {
                    self.bad(&name, &fault.to_string());
                }
            }
            Outcome::Unreadable(unreadable) => {
                self.bad(&name, &format!("{}: {unreadable}", Decision::Unreadable.sentence()));
            }
        }
    }

    /// Notes that an object asks for the proxy which has no pods, as all have that kustomize annotates alike.
    pub(super) fn without_pods(&mut self, object: &Value) {
        self.without_pods.push(name(object));
    }

    /// Tells that an object with pods asks for the proxy whose kind is never injected.
    pub(super) fn unsupported(&mut self, object: &Value) {
        let kinds: Vec<&str> = WorkloadKind::ALL.iter().map(|kind| kind.name()).collect();
        self.bad(&name(object), &format!("not injected: only these kinds are: {}", kinds.join(", ")));
    }

    /// Whether every workload that asks for the proxy has it.
    pub(super) fn is_clean(&self) -> bool {
        !self.bad_news
    }

    pub(super) fn text(&self) -> String {
        let mut text = self.text.clone();
        if let [first, others @ ..] = &self.without_pods[..] {
            let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
            // Writing to a string does not fail.
            let _ = writeln!(text, "{first}{more}: annotated, and without pods: there is nothing to inject into");
        }
        text
    }

    fn bad(&mut self, name: &str, what: &str) {
        self.bad_news = true;
        self.line(name, what);
    }

    fn line(&mut self, name: &str, what: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "{name}: {what}");
    }
}

/// `deployment/web`, with its namespace where it has one. Control characters of a name never reach a terminal.
fn name(object: &Value) -> String {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str);
    let kind = text("/kind").unwrap_or("object").to_lowercase();
    let name = text("/metadata/name").or_else(|| text("/metadata/generateName")).unwrap_or("(no name)");
    let name = match text("/metadata/namespace") {
        Some(namespace) => format!("{namespace}/{kind}/{name}"),
        None => format!("{kind}/{name}"),
    };
    name.escape_debug().to_string()
}
