//! Injection of the recycling proxy into a workload, as a pure function on raw JSON.
//!
//! [`inject`] reads a workload as the API server or a manifest has it, and returns an [`Outcome`]: mostly a JSON patch of few operations.
//! The webhook and `evenkeel inject` call it. Fields that this build does not know are never changed. Nothing here
//! reads a clock, a file or the network.
//!
//! ```text
//! annotations ──resolve──▶ settings ───┐
//! pod template ──read──▶ pod, fields   ├─plan──▶ additions ─┐
//!       └─ restored: the author's fields ┘   present fields ──┴─▶ patch
//! ```
//!
//! An injection is always computed from the fields as their author wrote them. The annotation `evenkeel.dev/status` and
//! the form of injected fields show what these were. So an object that was already injected, edited since, or partly
//! reverted by a client-side `kubectl apply`, gets the same result as a new one. Changes by others stay: resources, an
//! image, and fields that injection does not set. Present variables and containers keep their order; new ones follow
//! them.

mod additions;
mod decide;
mod fields;
mod installation;
mod json;
mod mesh;
mod namespace;
mod outcome;
mod planning;
mod pod;
mod proxy_ports;
mod resources;
mod services;
mod status;
mod windows;
mod workload;

pub use additions::container::{PROXY_CONTAINER, REDIRECT_CONTAINER};
pub use decide::{inject, remove};
pub use installation::Installation;
pub use json::node::Unreadable;
pub use namespace::{NamespaceFacts, PodSecurity};
pub use outcome::report::{Note, Report, ServiceTarget};
pub use outcome::skip::SkipReason;
pub use outcome::{Decision, Outcome};
pub use resources::constraints::ResourceConstraints;
pub use resources::quantity::{Quantity, Resource};
pub use services::{Route, Service, ServiceNote, ServiceRoute};
pub use workload::kind::WorkloadKind;
