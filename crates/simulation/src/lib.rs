//! A model of a Service whose clients keep their connections: how level the load of its pods is, and what that costs in
//! reconnects.
//!
//! A new connection lands on a ready pod at random, as kube-proxy places it, and stays until it is retired. When, is
//! decided by the functions that the recycling proxy calls (crate [`retirement`]). Pure: the same [`Scenario`],
//! [`Policy`] and seed give the same [`Run`].
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
