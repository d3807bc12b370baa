//! The settings for balancing a workload: the balancer's public keys, and the name that its proxies report.

use settings::{BalanceSettings, WorkloadRef, WorkloadSettings};

use crate::additions::previous::PreviousInjection;
use crate::installation::Installation;
use crate::json::node::{Node, Unreadable};
use crate::outcome::report::Note;
use crate::workload::kind::WorkloadKind;
use crate::workload::owner;

/// Returns the settings for balancing a workload whose annotation asks for it; as a note, why it is not balanced.
///
/// If the installation's keys are unknown, the workload keeps its present keys, so that there is no rollout.
pub(crate) fn choose(
    settings: &WorkloadSettings,
    installation: &Installation,
    previous: &PreviousInjection,
    workload: Option<WorkloadRef>,
) -> (Option<BalanceSettings>, Option<Note>) {
    if !settings.balance.is_on() {
        return (None, None);
    }
    match (installation.balance_keys.as_ref().or(previous.balance_keys.as_ref()), workload) {
        (None, _) => (None, Some(Note::NoBalancer)),
        (Some(_), None) => (None, Some(Note::NoNameToBalance)),
        (Some(keys), Some(workload)) => {
            let max_requests_is_set = settings.max_requests.is_some();
            (Some(BalanceSettings { keys: keys.clone(), workload, max_requests_is_set }), None)
        }
    }
}

/// Returns the name that the pods of `object` report. It is the same for all of them and at every review. Returns
/// `None` for an object with `generateName`, to which the API server gives a name after the review.
pub(crate) fn workload(object: &Node<'_>, kind: WorkloadKind) -> Result<Option<WorkloadRef>, Unreadable> {
    if kind == WorkloadKind::Pod
        && let Some((kind, name)) = owner::controller(object)?
    {
        return Ok(WorkloadRef::new(&kind, &name));
    }
    let text = |key| Ok(object.path(&["metadata", key])?.text()?.filter(|text| !text.is_empty()));
    match text("generateName")? {
        Some(_) => Ok(None),
        None => Ok(text("name")?.and_then(|name| WorkloadRef::new(kind.name(), name))),
    }
}
