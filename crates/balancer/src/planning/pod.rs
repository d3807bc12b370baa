//! What is known of a Pod and of an EndpointSlice.

use std::net::IpAddr;
use std::sync::Arc;

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
    /// The uid of its controller, such as a ReplicaSet, if it has one.
    pub controller: Option<Uid>,
    /// Its own address from its status, which the kubelet writes. `None` while it has none, shares that of its node, has ended or
    /// is being deleted: then nobody connects to it.
    pub address: Option<IpAddr>,
    /// Whether its condition `Ready` is true.
    pub is_ready: bool,
}

/// An EndpointSlice, as the API server has it. A tenant can write one: it says nothing of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Its namespace: only Pods of this one count.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// The uids of the Pods that are ready in it.
    pub ready: Vec<Uid>,
}

/// A change of what the API server has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A Pod is there, or has changed.
    Pod(Pod),
    /// A Pod is gone, or has lost its label.
    PodGone(Uid),
    /// All Pods have been listed; those that were not named since the list began are gone.
    Pods(Vec<Pod>),
    /// An EndpointSlice is there, or has changed.
    Slice(Slice),
    /// An EndpointSlice is gone.
    SliceGone {
        /// Its namespace.
        namespace: Arc<str>,
        /// Its name.
        name: Arc<str>,
    },
    /// All of the kind EndpointSlice have been listed.
    Slices(Vec<Slice>),
}
