//! Injection of the recycling proxy into a workload, as a pure function on raw JSON.
//!
//! [`inject`] reads a workload as the API server or a manifest has it and answers with an [`Outcome`]: mostly a JSON
//! patch of few operations. Fields that this build does not know are never touched, and nothing here reads a clock, a
//! file or the network.
//!
//! ```text
//! annotations ──resolve──▶ settings ─┐
//! pod template ──read──▶ pod, sites  ├─plan─▶ injection ─┐
//!       └─ sites.undone: the author's ┘   sites now ──────┴─▶ patch
//! ```
//!
//! What goes in is always derived from what the author wrote, which the `evenkeel.dev/status` annotation and the form of
//! our own edits give back. So an object that was injected already, edited since, or half put back by a client-side
//! `kubectl apply`, becomes the same as a fresh one. What others may set stays: resources, an image, fields that we say nothing
//! of. So does the order of what is there: variables and containers that come later stand behind those of before.

mod amount;
mod balance;
mod blank;
mod container;
mod decide;
mod demands;
mod detour;
mod earlier;
mod entry;
mod fit;
mod handler;
mod hold_ports;
mod hook;
mod injection;
mod installation;
mod interception;
mod kind;
mod label;
mod list;
mod liveness;
mod mesh;
mod names;
mod namespace;
mod node;
mod ours;
mod outcome;
mod owner;
mod patch;
mod plan;
mod pod;
mod ports;
mod probe;
mod probe_ports;
mod refusal;
mod report;
mod sites;
mod size;
mod skip;
mod status;
mod suitability;
mod update;
mod volume;
mod windows;

pub use amount::{Amount, Resource};
pub use container::{PROXY_CONTAINER, REDIRECT_CONTAINER};
pub use decide::{inject, remove};
pub use demands::Demands;
pub use installation::Installation;
pub use kind::WorkloadKind;
pub use namespace::{NamespaceFacts, PodSecurity};
pub use node::Unreadable;
pub use outcome::{Decision, Outcome};
pub use report::{Note, Report};
pub use skip::SkipReason;
