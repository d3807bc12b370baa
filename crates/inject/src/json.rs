//! Helpers for raw JSON of Kubernetes objects.

pub(crate) mod empty_form;
pub(crate) mod handler;
pub(crate) mod named;
pub(crate) mod node;
