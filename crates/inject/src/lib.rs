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

mod balance;
mod constraints;
mod container;
mod decide;
mod eligibility;
mod empty_form;
mod entry;
mod fields;
mod fit;
mod handler;
mod hold_ports;
mod inject_fields;
mod installation;
mod interception;
mod kind;
mod label;
mod list;
mod liveness;
mod mesh;
mod namespace;
mod node;
mod ours;
mod outcome;
mod owner;
mod patch;
mod plan;
mod pod;
mod port_names;
mod ports;
mod pre_stop;
mod previous;
mod probe;
mod probe_ports;
mod probe_rewrite;
mod quantity;
mod refusal;
mod report;
mod size;
mod skip;
mod status;
mod update;
mod volume;
mod windows;

pub use constraints::ResourceConstraints;
pub use container::{PROXY_CONTAINER, REDIRECT_CONTAINER};
pub use decide::{inject, remove};
pub use installation::Installation;
pub use kind::WorkloadKind;
pub use namespace::{NamespaceFacts, PodSecurity};
pub use node::Unreadable;
pub use outcome::{Decision, Outcome};
pub use quantity::{Quantity, Resource};
pub use report::{Note, Report};
pub use skip::SkipReason;
