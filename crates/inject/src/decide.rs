//! Decides how one workload is changed.

use json_patch::Patch;
use serde_json::Value;
use settings::{BalanceSettings, Faults, Layer, STATUS_KEY, WorkloadSettings};

use crate::additions::entry::Origin;
use crate::additions::plan::Plan;
use crate::additions::previous::PreviousInjection;
use crate::fields::Fields;
use crate::fields::inject::injected;
use crate::fields::patch;
use crate::fields::size;
use crate::installation::Installation;
use crate::json::node::{Node, Unreadable};
use crate::namespace::NamespaceFacts;
use crate::outcome::Outcome;
use crate::outcome::refusal::Refusal;
use crate::outcome::report::Note;
use crate::outcome::skip::SkipReason;
use crate::planning::balance;
use crate::planning::interception;
use crate::planning::plan;
use crate::pod::Pod;
use crate::workload::kind::WorkloadKind;
use crate::workload::owner;

/// Injects the proxy into `workload`, the JSON of an object of this `kind`, or removes it, as its annotations say.
///
/// Annotations of the namespace take precedence over the defaults of the `installation`, those of the workload over
/// both, and those of the pod template over all. `namespace` is `None` if nothing is known about it.
pub fn inject(
    workload: &Value,
    kind: WorkloadKind,
    namespace: Option<&NamespaceFacts>,
    installation: &Installation,
) -> Outcome {
    decide(workload, kind, namespace, installation).unwrap_or_else(Outcome::Unreadable)
}

/// Removes an injection from `workload`, whatever its annotations say. Returns [`Outcome::Remove`], or
/// [`Outcome::NotAsked`] if nothing was injected.
pub fn remove(workload: &Value, kind: WorkloadKind) -> Outcome {
    let removed = || {
        let injected = Template::read(&Node::root(workload).path(kind.template())?)?;
        Ok(injected.removal(kind).map_or(Outcome::NotAsked, |patch| Outcome::Remove { patch }))
    };
    removed().unwrap_or_else(Outcome::Unreadable)
}

fn decide(
    workload: &Value,
    kind: WorkloadKind,
    namespace: Option<&NamespaceFacts>,
    installation: &Installation,
) -> Result<Outcome, Unreadable> {
    let root = Node::root(workload);
    let template = root.path(kind.template())?;
    let own = root.path(&["metadata", "annotations"])?.string_map()?;
    let of_template = template.path(&["metadata", "annotations"])?.string_map()?;
    let mut layers = vec![Layer::Installation(&installation.defaults)];
    layers.extend(namespace.map(|facts| Layer::Namespace(&facts.annotations)));
    layers.push(Layer::Workload(&own));
    // A pod has no template besides itself.
    layers.extend((!kind.template().is_empty()).then_some(Layer::PodTemplate(&of_template)));
    let has_status = of_template.contains_key(STATUS_KEY);
    let settings = match WorkloadSettings::resolve(&layers) {
        Ok(None) if !has_status => return Ok(Outcome::NotAsked),
        settings => settings,
    };
    if owner::is_injected_through_controller(&root, kind, has_status)? {
        return Ok(Outcome::Owned);
    }
    if kind == WorkloadKind::Rollout && template.object()?.is_none() {
        return Ok(Outcome::Skip { reason: SkipReason::NoTemplate, patch: Patch::default() });
    }
    let injected = Template::read(&template)?;
    let workload_ref = balance::workload(&root, kind)?;
    let balance =
        |settings: &WorkloadSettings| balance::choose(settings, installation, &injected.previous, workload_ref);
    Ok(match settings {
        Ok(None) => Outcome::Remove { patch: injected.removal(kind).unwrap_or_default() },
        Ok(Some(settings)) => match injected.plan(settings, namespace, replicas(&root), balance) {
            Ok(plan) => injected.apply(plan, kind, workload),
            Err(Refusal::Skip(reason)) => injected.skip(reason, kind),
            Err(Refusal::Invalid(faults)) => injected.invalid(faults, kind),
        },
        Err(faults) => injected.invalid(faults, kind),
    })
}

/// Returns the number of replicas; one for kinds without that field, such as Pod and DaemonSet.
fn replicas(root: &Node<'_>) -> u64 {
    root.path(&["spec", "replicas"]).and_then(|node| node.whole_number()).ok().flatten().unwrap_or(1)
}

/// A pod template as it is, and as its author wrote it.
struct Template {
    pod: Pod,
    previous: PreviousInjection,
    now: Fields,
    author: Fields,
}

impl Template {
    fn read(template: &Node<'_>) -> Result<Self, Unreadable> {
        let previous = PreviousInjection::read(template)?;
        let pod = Pod::read(template, previous.origin, &previous.names)?;
        let now = Fields::read(template, previous.origin)?;
        let author = now.restored(&pod, &previous);
        Ok(Self { pod, previous, now, author })
    }

    fn plan(
        &self,
        settings: WorkloadSettings,
        namespace: Option<&NamespaceFacts>,
        replicas: u64,
        balance: impl FnOnce(&WorkloadSettings) -> (Option<BalanceSettings>, Option<Note>),
    ) -> Result<Plan, Refusal> {
        let (balance, unbalanced) = balance(&settings);
        let (interception, note) =
            interception::choose(&settings, namespace, &self.pod, !self.previous.names.is_empty())?;
        // Quotas already count the proxies of pods that have one.
        let new_replicas = if self.previous.record.is_none() { replicas } else { 0 };
        let mut plan = plan::plan(settings, interception, &self.pod, &self.author, namespace, new_replicas)?;
        plan.notes.splice(..0, unbalanced.into_iter().chain(note));
        plan.proxy.balance = balance;
        // If the namespace is unknown, the user stays as it is, so that a rollout does not create pods that the
        // namespace refuses.
        plan.has_own_user = namespace.map_or(self.previous.has_own_user, |facts| !facts.assigns_users);
        Ok(plan)
    }

    /// Returns the patch that removes an injection; `None` if there is none.
    fn removal(&self, kind: WorkloadKind) -> Option<Patch> {
        Some(patch::between(kind.template(), &self.now, &self.author)).filter(|patch| !patch.is_empty())
    }

    /// Returns the patch that removes an injection if there is a status annotation. Without one, the fields may be the
    /// author's.
    fn recorded_removal(&self, kind: WorkloadKind) -> Option<Patch> {
        match self.previous.origin {
            Origin::Recorded => self.removal(kind),
            Origin::Guessed => None,
        }
    }

    fn skip(&self, reason: SkipReason, kind: WorkloadKind) -> Outcome {
        Outcome::Skip { reason, patch: self.recorded_removal(kind).unwrap_or_default() }
    }

    fn apply(&self, plan: Plan, kind: WorkloadKind, workload: &Value) -> Outcome {
        let want = injected(&self.author, &self.now, &self.pod, &plan, &self.previous);
        let patch = patch::between(kind.template(), &self.now, &want);
        if size::is_too_large(workload, &patch, want.metadata.as_ref()) {
            return self.skip(SkipReason::TooLarge, kind);
        }
        let report = plan.report();
        if patch.is_empty() { Outcome::Unchanged { report } } else { Outcome::Inject { patch, report } }
    }

    fn invalid(&self, faults: Faults, kind: WorkloadKind) -> Outcome {
        let patch = match self.previous.origin {
            Origin::Recorded => {
                patch::between(kind.template(), &self.now, &self.now.repaired(&self.pod, &self.previous))
            }
            Origin::Guessed => Patch::default(),
        };
        Outcome::Invalid { faults, patch }
    }
}
