//! The end-to-end tests, one program with a module for each promise: `make e2e` runs them.
//!
//! They need a cluster, so that `cargo test` leaves them out (`test = false` in `Cargo.toml`).

mod addresses;
mod autoscaling;
mod balancing;
mod check;
mod documents;
mod edits_and_rollbacks;
mod examples;
mod failing_app;
mod gitops;
mod golden;
mod invalid_annotation;
mod kinds;
mod live_page;
mod monitoring;
mod named_port;
mod node_drain;
mod probes;
mod recycling;
mod refused_pods;
mod rollout;
mod scale_out;
mod unreviewed;
mod warnings_and_events;
mod webhook_down;
mod webhook_faults;
mod webhook_replica;
