//! The parts of Pods and `EndpointSlice`s that the balancer uses.

use std::net::IpAddr;
use std::sync::Arc;

use balancing::Workload;

/// The uid of a Pod.
pub type Uid = Arc<str>;

/// A labelled Pod, as the API server has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its uid.
    pub uid: Uid,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name, for logs and people.
    pub name: Arc<str>,
    /// Its controller, such as a ReplicaSet, if it has one.
    pub controller: Option<Controller>,
    /// Its address from its status, which the kubelet writes. `None` while it has none, uses its node's network, has
    /// ended or is being deleted: then the balancer does not connect to it.
    pub address: Option<IpAddr>,
    /// Whether its condition `Ready` is true.
    pub is_ready: bool,
}

/// The controller of a Pod, from its owner references. An account that may create Pods can write any; a container of
/// the Pod cannot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Controller {
    /// Its kind, such as ReplicaSet.
    pub kind: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

/// The kinds whose Pods belong to `ReplicaSet`s. The name of a `ReplicaSet` is that of its owner, a hyphen, and a hash.
const THROUGH_REPLICA_SETS: [&str; 2] = ["Deployment", "Rollout"];

impl Controller {
    /// Returns whether it is this workload, or a ReplicaSet of it. Both are in the same namespace.
    pub fn is_of(&self, workload: &Workload) -> bool {
        if *self.kind == *workload.kind() {
            return *self.name == *workload.name();
        }
        let hash = self.name.strip_prefix(workload.name()).and_then(|rest| rest.strip_prefix('-'));
        let is_hash = |hash: &str| !hash.is_empty() && hash.bytes().all(|byte| byte.is_ascii_alphanumeric());
        &*self.kind == "ReplicaSet" && THROUGH_REPLICA_SETS.contains(&workload.kind()) && hash.is_some_and(is_hash)
    }
}

/// An EndpointSlice. Its addresses are not used, because a tenant can write any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Its namespace: only Pods of this one count.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// The uids of its ready endpoints.
    pub ready: Vec<Uid>,
}

/// A change of the watched objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A Pod was created or changed.
    Pod(Pod),
    /// A Pod was deleted, or lost its label.
    PodGone(Uid),
    /// All Pods were listed; others no longer exist.
    Pods(Vec<Pod>),
    /// An EndpointSlice was created or changed.
    Slice(Slice),
    /// An EndpointSlice was deleted.
    SliceGone {
        /// Its namespace.
        namespace: Arc<str>,
        /// Its name.
        name: Arc<str>,
    },
    /// All `EndpointSlice`s were listed; others no longer exist.
    Slices(Vec<Slice>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_controllers_name_tells_its_workload() {
        for (kind, name, workload, is_of) in [
            ("ReplicaSet", "web-5d4f8c7b9", "Deployment/web", true),
            ("ReplicaSet", "web-5d4f8c7b9", "Rollout/web", true),
            ("ReplicaSet", "web.v1-5d4f8c7b9", "Deployment/web.v1", true),
            ("ReplicaSet", "web-api-5d4f8c7b9", "Deployment/web", false),
            ("ReplicaSet", "web-api-5d4f8c7b9", "Deployment/web-api", true),
            ("ReplicaSet", "web-5d4f8c7b9", "StatefulSet/web", false),
            ("ReplicaSet", "web-5d4f8c7b9", "ReplicaSet/web-5d4f8c7b9", true),
            ("ReplicaSet", "web", "Deployment/web", false),
            ("ReplicaSet", "web-", "Deployment/web", false),
            ("ReplicaSet", "other-5d4f8c7b9", "Deployment/web", false),
            ("StatefulSet", "web", "StatefulSet/web", true),
            ("StatefulSet", "web-1", "StatefulSet/web", false),
            ("StatefulSet", "web", "Deployment/web", false),
            ("Job", "web-28", "Job/web-28", true),
            ("Job", "web-28", "Deployment/web", false),
        ] {
            let controller = Controller { kind: kind.into(), name: name.into() };
            let workload = format!("shop/{workload}").parse().unwrap();
            assert_eq!(controller.is_of(&workload), is_of, "{controller:?} {workload}");
        }
    }
}
