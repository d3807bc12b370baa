//! The admission webhook of evenkeel.
//!
//! [`server::Webhook`] is the process: a TLS port that answers admission reviews ([`review`]), a plain port for
//! metrics and health ([`admin`]), somebody who looks after certificates ([`certificates`]), and somebody who tells of
//! workloads that go without the proxy ([`events`]). What becomes of a
//! workload is decided by the `inject` crate alone; nothing here knows what a pod looks like.

pub mod admin;
pub mod arguments;
pub mod certificates;
pub mod check;
pub mod clock;
mod desk;
pub mod events;
pub mod health;
pub mod installation;
mod listener;
pub mod metrics;
pub mod namespaces;
mod object;
mod occasion;
mod places;
pub mod review;
pub mod server;
mod services;
pub mod settings;
mod tls;
mod verdict;
