//! Injection converges: a workload that is new, injected, edited or partly restored ends in the same state.
//!
//! The states are those that `kubectl apply`, `replace` and `edit` of an injected workload, the API server's defaults
//! and lost annotations lead to.

mod annotations;
mod by_name;
mod defaults;
mod edits;
mod manifests;
mod removal;
mod unreviewed;
#[path = "../workload/mod.rs"]
mod workload;
