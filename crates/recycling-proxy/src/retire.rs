//! The state of retirement: the open connections and which of them are marked, balancing, and the drain of the pod.
//!
//! When a connection is retired is the rule of the crate [`retirement`].

pub(crate) mod balance;
pub(crate) mod connections;
pub(crate) mod drain;
mod registry;
