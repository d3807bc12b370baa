//! Suites that others wrote, run twice: against an app directly, and through the recycling proxy in front of that app.
//!
//! The promise is that the proxy changes nothing that a suite can see: what counts is not how well the app does but that
//! its verdicts are the same, case by case. `tests/` has one file for each suite; `make conformance` builds the suites
//! and runs them all.

pub mod junit;
mod proxy;
mod tool;

pub use proxy::{proxy_in_front_of, retired, upgraded};
pub use tool::{Ended, node, run, tool};
