//! Pods of one controller, such as a ReplicaSet: the workload that one of them reports is that of the others.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use balancing::Workload;

use super::pod::{Controller, Pod, Uid};

/// The name of the controller of siblings, with its namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct FamilyName {
    namespace: Arc<str>,
    controller: Controller,
}

impl FamilyName {
    /// Returns that of a pod, if it has a controller.
    pub(super) fn of(pod: &Pod) -> Option<Self> {
        Some(Self { namespace: Arc::clone(&pod.namespace), controller: pod.controller.clone()? })
    }
}

/// The pods by their controllers.
#[derive(Debug, Default)]
pub(super) struct Siblings(HashMap<FamilyName, Family>);

#[derive(Debug, Default)]
struct Family {
    workload: Option<Workload>,
    pods: BTreeSet<Uid>,
}

impl Siblings {
    /// Adds a pod. Returns the workload that a sibling has reported.
    pub(super) fn add(&mut self, family: FamilyName, pod: Uid) -> Option<Workload> {
        let family = self.0.entry(family).or_default();
        family.pods.insert(pod);
        family.workload.clone()
    }

    /// Notes that a pod has reported its workload. Returns its siblings if it is the first of them.
    pub(super) fn report(&mut self, family: &FamilyName, pod: &Uid, workload: &Workload) -> Vec<Uid> {
        let family = self.0.get_mut(family).filter(|family| family.workload.is_none());
        let Some(family) = family else { return Vec::new() };
        family.workload = Some(workload.clone());
        family.pods.iter().filter(|uid| *uid != pod).cloned().collect()
    }

    /// Removes a pod.
    pub(super) fn remove(&mut self, name: &FamilyName, pod: &Uid) {
        if let Some(family) = self.0.get_mut(name) {
            family.pods.remove(pod);
            if family.pods.is_empty() {
                self.0.remove(name);
            }
        }
    }

    /// Removes all pods.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
