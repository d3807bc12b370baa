//! Simulates a Service whose clients keep their connections: how even the load of its pods is, and how many reconnects
//! that costs. `evenkeel simulate` runs it.
//!
//! Each new connection lands on a random ready pod, as with kube-proxy, and stays until it is retired. The functions
//! that the recycling proxy calls decide when (crate [`retirement`]). Pure: the same [`Scenario`], [`Policy`] and seed
//! give the same [`Run`].
//!
//! Not modelled: latency, lost packets, clients that open more connections when responses are slow.

mod balancer;
mod figures;
mod pods;
mod policy;
mod run;
mod scenario;

pub use figures::{Figures, LEVEL, Spread};
pub use policy::Policy;
pub use run::{Run, Second, simulate};
pub use scenario::{Change, Event, Invalid, Protocol, Scenario};
