//! The report about each workload on standard error.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use inject::{Decision, Outcome, WorkloadKind};
use serde_json::Value;
use settings::Annotation;

use crate::manifests::Input;

/// Lines about workloads, and whether all of them succeeded.
#[derive(Default)]
pub(super) struct Report {
    text: String,
    bad_news: bool,
    /// Objects that ask for the proxy and have no pods.
    without_pods: Vec<String>,
}

impl Report {
    /// Reports the outcome for a workload, and whether it had the proxy before.
    pub(super) fn add(&mut self, object: &Value, outcome: &Outcome, was_there: bool) {
        let name = name(object);
        match outcome {
            Outcome::NotAsked | Outcome::Owned | Outcome::Remove { .. } => {
                self.line(&name, outcome.decision().sentence());
            }
            Outcome::Inject { report, .. } | Outcome::Unchanged { report } => {
                let ports: Vec<String> = report.ports.iter().map(u16::to_string).collect();
                let (ports, way, drain) = (ports.join(", "), report.interception, report.drain_timeout);
                let done = match outcome {
                    Outcome::Inject { .. } if was_there => "the recycling proxy was updated",
                    Outcome::Inject { .. } => "the recycling proxy was injected",
                    outcome => outcome.decision().sentence(),
                };
                let what = format!("{done} (ports {ports} by {way}; drain up to {drain})");
                self.line(&name, &what);
                for note in &report.notes {
                    self.line(&name, &format!("note: {note}"));
                }
            }
            Outcome::Skip { reason, .. } => self.bad(&name, &format!("not injected: {}", reason.sentence())),
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

    /// Reports that an input has no object, such as the output of a failed `helm template`.
    pub(super) fn empty(&mut self, input: &Input) {
        self.line(&input.to_string(), "contains no object");
    }

    /// Records an object with an annotation but without pods, such as those that kustomize annotates with all others.
    pub(super) fn without_pods(&mut self, object: &Value) {
        self.without_pods.push(name(object));
    }

    /// Reports an object whose annotations ask for the proxy, but whose kind is never injected.
    pub(super) fn unsupported(&mut self, object: &Value) {
        let kinds: Vec<&str> = WorkloadKind::ALL.iter().map(|kind| kind.name()).collect();
        self.bad(&name(object), &format!("not injected: only these kinds are: {}", kinds.join(", ")));
    }

    /// Reports that there was no proxy to remove.
    pub(super) fn nothing_there(&mut self, object: &Value) {
        self.line(&name(object), "the recycling proxy is not injected");
    }

    /// Reports that the webhook injected the proxy again after its removal.
    pub(super) fn injected_again(&mut self, object: &Value) {
        let key = Annotation::MaxRequests.key();
        self.bad(&name(object), &format!("the webhook has injected it again: remove the annotation {key}"));
    }

    /// Prints the report to standard error.
    pub(super) fn print(&self) -> anyhow::Result<()> {
        io::stderr().lock().write_all(self.text().as_bytes()).context("standard error cannot be written")
    }

    /// Returns success if every workload has the proxy as its annotations say.
    pub(super) fn code(&self) -> ExitCode {
        if self.bad_news { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }

    fn text(&self) -> String {
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
