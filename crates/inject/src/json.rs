//! Raw JSON, as Kubernetes has it.

pub(crate) mod empty_form;
pub(crate) mod named;
pub(crate) mod node;
