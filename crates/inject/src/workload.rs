//! The objects that have a pod template, and their controllers.

pub(crate) mod kind;
pub(crate) mod owner;
