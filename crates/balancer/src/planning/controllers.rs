//! The pods of each controller, such as a ReplicaSet. If one reports its workload, the others belong to the same one.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use balancing::Workload;

use super::pod::{Controller, Pod, Uid};

/// A controller and its namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ControllerKey {
    namespace: Arc<str>,
    controller: Controller,
}

impl ControllerKey {
    /// Returns the key of a pod's controller, if it has one.
    pub(super) fn of(pod: &Pod) -> Option<Self> {
        Some(Self { namespace: Arc::clone(&pod.namespace), controller: pod.controller.clone()? })
    }
}

/// Pods by controller.
#[derive(Debug, Default)]
pub(super) struct PodsByController(HashMap<ControllerKey, ControlledPods>);

#[derive(Debug, Default)]
struct ControlledPods {
    workload: Option<Workload>,
    pods: BTreeSet<Uid>,
}

impl PodsByController {
    /// Adds a pod. Returns the workload that another pod of its controller has reported.
    pub(super) fn add(&mut self, controller: ControllerKey, pod: Uid) -> Option<Workload> {
        let controller = self.0.entry(controller).or_default();
        controller.pods.insert(pod);
        controller.workload.clone()
    }

    /// Records that a pod has reported its workload. Returns the controller's other pods if this report is the first.
    pub(super) fn report(&mut self, controller: &ControllerKey, pod: &Uid, workload: &Workload) -> Vec<Uid> {
        let controller = self.0.get_mut(controller).filter(|controller| controller.workload.is_none());
        let Some(controller) = controller else { return Vec::new() };
        controller.workload = Some(workload.clone());
        controller.pods.iter().filter(|uid| *uid != pod).cloned().collect()
    }

    /// Removes a pod.
    pub(super) fn remove(&mut self, name: &ControllerKey, pod: &Uid) {
        if let Some(controller) = self.0.get_mut(name) {
            controller.pods.remove(pod);
            if controller.pods.is_empty() {
                self.0.remove(name);
            }
        }
    }

    /// Removes all pods.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
