//! The decision about one workload.

use std::collections::BTreeMap;

use json_patch::Patch;
use serde_json::Value;
use settings::{Faults, Layer, STATUS_KEY, WorkloadSettings};

use crate::container::Origin;
use crate::kind::WorkloadKind;
use crate::node::{Node, Unreadable};
use crate::outcome::Outcome;
use crate::patch;
use crate::plan::{Plan, Refusal};
use crate::pod::{Pod, texts};
use crate::sites::Sites;
use crate::status::Record;

/// Decides what becomes of `workload`, an object of this `kind` as JSON.
///
/// `defaults` are the installation's, by annotation name without the prefix. The annotations of the workload win over
/// them, and those of its pod template over both.
pub fn inject(workload: &Value, kind: WorkloadKind, defaults: &BTreeMap<String, String>) -> Outcome {
    decide(workload, kind, defaults).unwrap_or_else(Outcome::Unreadable)
}

/// Takes an injection out of `workload` whatever its annotations ask for: [`Outcome::Remove`], or
/// [`Outcome::NotAsked`] where nothing of ours is there.
pub fn remove(workload: &Value, kind: WorkloadKind) -> Outcome {
    let removed = || {
        let injected = Injected::read(&Node::root(workload).path(kind.template())?)?;
        Ok(injected.removal(kind).map_or(Outcome::NotAsked, |patch| Outcome::Remove { patch }))
    };
    removed().unwrap_or_else(Outcome::Unreadable)
}

fn decide(workload: &Value, kind: WorkloadKind, defaults: &BTreeMap<String, String>) -> Result<Outcome, Unreadable> {
    let root = Node::root(workload);
    let template = root.path(kind.template())?;
    let own = texts(&root.path(&["metadata", "annotations"])?)?;
    let of_template = texts(&template.path(&["metadata", "annotations"])?)?;
    let layers = [Layer::Installation(defaults), Layer::Object(&own), Layer::Object(&of_template)];
    let settings = match WorkloadSettings::resolve(&layers) {
        Ok(None) if !of_template.contains_key(STATUS_KEY) => return Ok(Outcome::NotAsked),
        settings => settings,
    };
    let injected = Injected::read(&template)?;
    Ok(match settings {
        Ok(None) => Outcome::Remove { patch: injected.removal(kind).unwrap_or_default() },
        Ok(Some(settings)) => match Plan::make(settings, &injected.pod, &injected.author) {
            Ok(plan) => injected.follow(plan, kind),
            Err(Refusal::Skip(reason)) => {
                Outcome::Skip { reason, patch: injected.recorded_removal(kind).unwrap_or_default() }
            }
            Err(Refusal::Invalid(faults)) => injected.invalid(faults, kind),
        },
        Err(faults) => injected.invalid(faults, kind),
    })
}

/// A pod template as it is and as its author wrote it.
struct Injected {
    pod: Pod,
    record: Option<Record>,
    origin: Origin,
    now: Sites,
    author: Sites,
}

impl Injected {
    fn read(template: &Node<'_>) -> Result<Self, Unreadable> {
        let annotations = texts(&template.path(&["metadata", "annotations"])?)?;
        let status = annotations.get(STATUS_KEY);
        let origin = if status.is_some() { Origin::Recorded } else { Origin::Guessed };
        let record = status.and_then(|status| Record::parse(status));
        let pod = Pod::read(template, origin)?;
        let now = Sites::read(template)?;
        let author = now.undone(&pod, record.as_ref(), origin);
        Ok(Self { pod, record, origin, now, author })
    }

    /// `None` where nothing of ours is there.
    fn removal(&self, kind: WorkloadKind) -> Option<Patch> {
        Some(patch::between(kind.template(), &self.now, &self.author)).filter(|patch| !patch.is_empty())
    }

    /// The removal of what a status annotation says is ours; without one it may be the author's own by now.
    fn recorded_removal(&self, kind: WorkloadKind) -> Option<Patch> {
        match self.origin {
            Origin::Recorded => self.removal(kind),
            Origin::Guessed => None,
        }
    }

    fn follow(&self, plan: Plan, kind: WorkloadKind) -> Outcome {
        let want = self.author.injected(&self.now, &self.pod, &plan, self.record.as_ref(), self.origin);
        let patch = patch::between(kind.template(), &self.now, &want);
        let report = plan.report();
        if patch.is_empty() { Outcome::Unchanged { report } } else { Outcome::Inject { patch, report } }
    }

    fn invalid(&self, faults: Faults, kind: WorkloadKind) -> Outcome {
        let patch = match self.origin {
            Origin::Recorded => {
                let mended = self.now.mended(&self.pod, self.record.as_ref(), self.origin);
                patch::between(kind.template(), &self.now, &mended)
            }
            Origin::Guessed => Patch::default(),
        };
        Outcome::Invalid { faults, patch }
    }
}
