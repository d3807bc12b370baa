//! The state of retirement: the open connections and who of them is marked, balancing, and the drain of the pod.
//!
//! When a connection is retired is the rule of the crate [`retirement`].

pub mod balance;
pub(crate) mod connections;
pub mod drain;
mod registry;
