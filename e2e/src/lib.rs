//! The harness of the end-to-end tests: `tests/` has one file for each promise.
//!
//! The tests run on the cluster of `KUBECONFIG`, into which `make install` has installed evenkeel; `make e2e` does
//! both. Each test works in its own [`namespace`](in_namespace), with the sample of `examples/` ([`Web`]), and observes
//! it from outside: through the Kubernetes API, and with keep-alive clients ([`Client`], [`Fleet`]) that connect to a
//! `NodePort` at a node's address, which works in a local cluster and in kind. Figures are printed and saved in
//! `target/e2e/` ([`record()`]).

mod caller;
mod client;
mod cluster;
mod configuration;
mod custom;
mod diagnosis;
mod dialer;
mod events;
mod faulty_webhook;
mod figures;
mod fleet;
mod front;
mod grpc;
mod http2;
mod losses;
mod namespace;
mod node;
pub mod program;
mod record;
mod release;
mod rollout;
mod shutdown;
mod web;
mod webhook;

pub use caller::Protocol;
pub use client::{Answer, Client, Failure, FailureKind};
pub use configuration::Configuration;
pub use custom::CustomKind;
pub use faulty_webhook::{Fault, FaultyWebhook};
pub use figures::Figures;
pub use fleet::{Event, Fleet, Load};
pub use front::Front;
pub use losses::{Fleets, Losses};
pub use namespace::{TestNamespace, in_labelled_namespace, in_namespace};
pub use node::{empty_node, workers};
pub use record::record;
pub use release::{Release, helm_programs};
pub use shutdown::{Mitigation, OnTerm, ShutdownCase};
pub use web::{Web, sidecar};
pub use webhook::Webhook;
