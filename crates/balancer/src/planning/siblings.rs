//! Pods of one controller, such as a ReplicaSet: what one of them reports tells to which workload the others belong.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use balancing::Workload;

use super::pod::{Pod, Uid};

/// The controller of a pod. A tenant can name any uid: only pods of one namespace are siblings.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Controller {
    namespace: Arc<str>,
    uid: Uid,
}

impl Controller {
    /// Returns the controller of a pod, if it has one.
    pub(super) fn of(pod: &Pod) -> Option<Self> {
        Some(Self { namespace: Arc::clone(&pod.namespace), uid: Arc::clone(pod.controller.as_ref()?) })
    }
}

/// The pods by their controllers.
#[derive(Debug, Default)]
pub(super) struct Siblings(HashMap<Controller, Family>);

#[derive(Debug, Default)]
struct Family {
    workload: Option<Workload>,
    pods: BTreeSet<Uid>,
}

impl Siblings {
    /// Adds a pod. Returns the workload that a sibling has reported.
    pub(super) fn add(&mut self, controller: Controller, pod: Uid) -> Option<Workload> {
        let family = self.0.entry(controller).or_default();
        family.pods.insert(pod);
        family.workload.clone()
    }

    /// Takes in that a pod has reported its workload. Returns its siblings if it is the first of them to do so.
    pub(super) fn report(&mut self, controller: &Controller, pod: &Uid, workload: &Workload) -> Vec<Uid> {
        let family = self.0.get_mut(controller).filter(|family| family.workload.is_none());
        let Some(family) = family else { return Vec::new() };
        family.workload = Some(workload.clone());
        family.pods.iter().filter(|uid| *uid != pod).cloned().collect()
    }

    /// Removes a pod.
    pub(super) fn remove(&mut self, controller: &Controller, pod: &Uid) {
        if let Some(family) = self.0.get_mut(controller) {
            family.pods.remove(pod);
            if family.pods.is_empty() {
                self.0.remove(controller);
            }
        }
    }

    /// Removes all pods.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
