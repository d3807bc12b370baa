//! Manifests: where they come from, the documents in them, and what a patch makes of an object.

mod apply;
pub(crate) mod documents;
mod lists;
mod source;

pub(crate) use apply::apply;
pub(crate) use lists::ItemKind;
pub(crate) use source::{Input, Source};
