//! Raw JSON, as Kubernetes has it.

pub(crate) mod empty_form;
pub(crate) mod handler;
pub(crate) mod named;
pub(crate) mod node;
