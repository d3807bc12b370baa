//! CPU and memory: quantities, what containers request, and what a namespace allows.

pub(crate) mod constraints;
pub(crate) mod quantity;
pub(crate) mod requirements;
