//! What injection adds to a pod template: containers, their mounts and variables, volumes and labels.
//!
//! Each addition is one row of a table: [`container::ADDITIONS`], [`volume::ADDITIONS`], and the labels of [`label`]. Injection,
//! update, removal, the check of names and the recognition of what an earlier injection added follow from these rows.

pub(crate) mod container;
pub(crate) mod entry;
pub(crate) mod label;
pub(crate) mod list;
pub(crate) mod plan;
pub(crate) mod previous;
pub(crate) mod update;
pub(crate) mod volume;
