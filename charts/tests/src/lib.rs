//! The chart `charts/evenkeel`: what is generated from its values, and what it renders.
//!
//! `values.yaml` is the one source: its keys, defaults and comments become [`schema`], which refuses what the chart
//! does not know, and [`mod@reference`], which people read. [`render`] runs Helm and gives back objects; the tests ask
//! questions of them, and [`strict`] has their types judged.

pub mod files;
pub mod parts;
pub mod reference;
pub mod render;
pub mod schema;
pub mod strict;
pub mod values;
