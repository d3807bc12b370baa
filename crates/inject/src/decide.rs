//! The decision about one workload.

use json_patch::Patch;
use serde_json::Value;
use settings::{BalanceSettings, Faults, Layer, STATUS_KEY, WorkloadSettings};

use crate::balance;
use crate::earlier::Earlier;
use crate::entry::Origin;
use crate::injection::injected;
use crate::installation::Installation;
use crate::interception;
use crate::kind::WorkloadKind;
use crate::namespace::NamespaceFacts;
use crate::node::{Node, Unreadable};
use crate::outcome::Outcome;
use crate::owner;
use crate::patch;
use crate::plan::Plan;
use crate::pod::{Pod, texts};
use crate::refusal::Refusal;
use crate::report::Note;
use crate::sites::Sites;
use crate::size;
use crate::skip::SkipReason;

/// Decides what becomes of `workload`, an object of this `kind` as JSON.
///
/// The annotations of its namespace win over the defaults of the `installation`, those of the workload over these, and those of its pod
/// template over all. `namespace` is `None` where nothing is known of it.
pub fn inject(
    workload: &Value,
    kind: WorkloadKind,
    namespace: Option<&NamespaceFacts>,
    installation: &Installation,
) -> Outcome {
    decide(workload, kind, namespace, installation).unwrap_or_else(Outcome::Unreadable)
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

fn decide(
    workload: &Value,
    kind: WorkloadKind,
    namespace: Option<&NamespaceFacts>,
    installation: &Installation,
) -> Result<Outcome, Unreadable> {
    let root = Node::root(workload);
    let template = root.path(kind.template())?;
    let own = texts(&root.path(&["metadata", "annotations"])?)?;
    let of_template = texts(&template.path(&["metadata", "annotations"])?)?;
    let mut layers = vec![Layer::Installation(&installation.defaults)];
    layers.extend(namespace.map(|facts| Layer::Namespace(&facts.annotations)));
    layers.push(Layer::Workload(&own));
    // A pod is its own template.
    layers.extend((!kind.template().is_empty()).then_some(Layer::PodTemplate(&of_template)));
    let has_status = of_template.contains_key(STATUS_KEY);
    let settings = match WorkloadSettings::resolve(&layers) {
        Ok(None) if !has_status => return Ok(Outcome::NotAsked),
        settings => settings,
    };
    if owner::is_injected_instead(&root, kind, has_status)? {
        return Ok(Outcome::Owned);
    }
    if kind == WorkloadKind::Rollout && template.object()?.is_none() {
        return Ok(Outcome::Skip { reason: SkipReason::NoTemplate, patch: Patch::default() });
    }
    let injected = Injected::read(&template)?;
    let workload_ref = balance::workload(&root, kind)?;
    let balance =
        |settings: &WorkloadSettings| balance::choose(settings, installation, &injected.earlier, workload_ref);
    Ok(match settings {
        Ok(None) => Outcome::Remove { patch: injected.removal(kind).unwrap_or_default() },
        Ok(Some(settings)) => match injected.plan(settings, namespace, replicas(&root), balance) {
            Ok(plan) => injected.follow(plan, kind, workload),
            Err(Refusal::Skip(reason)) => injected.skip(reason, kind),
            Err(Refusal::Invalid(faults)) => injected.invalid(faults, kind),
        },
        Err(faults) => injected.invalid(faults, kind),
    })
}

/// The replicas that it asks for; one where it has no say, as a Pod and a DaemonSet.
fn replicas(root: &Node<'_>) -> u64 {
    root.path(&["spec", "replicas"]).and_then(|node| node.whole_number()).ok().flatten().unwrap_or(1)
}

/// A pod template as it is and as its author wrote it.
struct Injected {
    pod: Pod,
    earlier: Earlier,
    now: Sites,
    author: Sites,
}

impl Injected {
    fn read(template: &Node<'_>) -> Result<Self, Unreadable> {
        let earlier = Earlier::read(template)?;
        let pod = Pod::read(template, earlier.origin, &earlier.names)?;
        let now = Sites::read(template, earlier.origin)?;
        let author = now.undone(&pod, &earlier);
        Ok(Self { pod, earlier, now, author })
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
            interception::choose(&settings, namespace, &self.pod, !self.earlier.names.is_empty())?;
        // What runs with the proxy by now is counted in what quotas have left.
        let new_replicas = if self.earlier.record.is_none() { replicas } else { 0 };
        let mut plan = Plan::make(settings, interception, &self.pod, &self.author, namespace, new_replicas)?;
        plan.notes.splice(..0, unbalanced.into_iter().chain(note));
        plan.proxy.balance = balance;
        // What is unknown must not roll a workload into pods that its namespace refuses.
        plan.has_own_user = namespace.map_or(self.earlier.has_own_user, |facts| !facts.assigns_users);
        Ok(plan)
    }

    /// `None` where nothing of ours is there.
    fn removal(&self, kind: WorkloadKind) -> Option<Patch> {
        Some(patch::between(kind.template(), &self.now, &self.author)).filter(|patch| !patch.is_empty())
    }

    /// The removal of what a status annotation says is ours; without one it may be the author's own by now.
    fn recorded_removal(&self, kind: WorkloadKind) -> Option<Patch> {
        match self.earlier.origin {
            Origin::Recorded => self.removal(kind),
            Origin::Guessed => None,
        }
    }

    fn skip(&self, reason: SkipReason, kind: WorkloadKind) -> Outcome {
        Outcome::Skip { reason, patch: self.recorded_removal(kind).unwrap_or_default() }
    }

    fn follow(&self, plan: Plan, kind: WorkloadKind, workload: &Value) -> Outcome {
        let want = injected(&self.author, &self.now, &self.pod, &plan, &self.earlier);
        let patch = patch::between(kind.template(), &self.now, &want);
        if size::is_too_large(workload, &patch, want.metadata.as_ref()) {
            return self.skip(SkipReason::TooLarge, kind);
        }
        let report = plan.report();
        if patch.is_empty() { Outcome::Unchanged { report } } else { Outcome::Inject { patch, report } }
    }

    fn invalid(&self, faults: Faults, kind: WorkloadKind) -> Outcome {
        let patch = match self.earlier.origin {
            Origin::Recorded => patch::between(kind.template(), &self.now, &self.now.mended(&self.pod, &self.earlier)),
            Origin::Guessed => Patch::default(),
        };
        Outcome::Invalid { faults, patch }
    }
}
