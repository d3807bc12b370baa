//! The admission webhook of evenkeel.
//!
//! [`server::Webhook`] is the process. It has a TLS port that answers admission reviews ([`review`]), an admin port for
//! metrics and health ([`admin`]), a controller of certificates ([`certificates`]), and watches that publish Events on
//! workloads ([`events`]). Crate `inject` alone decides how a workload is changed; nothing here depends on the fields
//! of a pod.

pub mod admin;
pub mod arguments;
pub mod certificates;
pub mod check;
mod event_reason;
pub mod events;
pub mod health;
pub mod installation;
mod listener;
pub mod metrics;
pub mod namespaces;
mod object;
mod parse_budget;
pub mod review;
pub mod server;
mod services;
pub mod settings;
mod slots;
mod tls;
mod verdict;
