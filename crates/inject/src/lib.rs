//! Injection of the recycling proxy into a workload, as a pure function on raw JSON.
//!
//! [`inject`] reads a workload as the API server or a manifest has it, and returns an [`Outcome`]: mostly a JSON patch
//! of few operations. Fields that this build does not know are never changed. Nothing here reads a clock, a file or the
//! network.
//!
//! ```text
//! annotations ──resolve──▶ settings ───┐
//! pod template ──read──▶ pod, fields   ├─plan──▶ additions ─┐
//!       └─ restored: the author's fields ┘   present fields ──┴─▶ patch
//! ```
//!
//! An injection is always derived from what the author wrote. The `evenkeel.dev/status` annotation and the form of our own
//! changes tell what that was. So an object that was injected already, edited since, or partly reverted by a client-side
//! `kubectl apply`, becomes the same as a fresh one. What others may set stays: resources, an image, and fields that we do
//! not set. Variables and containers that are there keep their order; new ones come after them.

mod additions;
mod decide;
mod fields;
mod installation;
mod json;
mod namespace;
mod outcome;
mod planning;
mod pod;
mod proxy_ports;
mod resources;
mod services;
mod status;
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
