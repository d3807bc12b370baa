//! Conformance suites of other projects, run twice: against an app directly, and through the recycling proxy in front
//! of it.
//!
//! The promise is that the proxy changes nothing that a suite can see. What counts is not how many cases the app
//! passes, but that each case has the same verdict. `tests/` has one file for each suite; `make conformance` builds the
//! suites and runs them all.

pub mod junit;
mod proxy;
mod tool;

pub use proxy::{proxy_in_front_of, retired, upgraded};
pub use tool::{Ended, node, run, tool};
