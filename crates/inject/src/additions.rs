//! What injection adds to a pod template: containers with their mounts and variables, volumes, labels, annotations, and
//! hooks of app containers.
//!
//! Each addition is one row of a table: [`container::ADDITIONS`], [`volume::ADDITIONS`], `ADDITIONS` of [`metadata`]
//! and of [`hook`]. Injection, update, removal, the check for name clashes and the recognition of earlier injections
//! use these rows.

pub(crate) mod container;
pub(crate) mod entry;
pub(crate) mod hook;
pub(crate) mod list;
pub(crate) mod metadata;
pub(crate) mod plan;
pub(crate) mod previous;
pub(crate) mod update;
pub(crate) mod volume;
