//! The balancer: reads the load of pods with the annotation `balance` from their proxies, and sends each pod the mean
//! load of its workload in a signed instruction.
//!
//! ```text
//! API server ── Pods, EndpointSlices ──▶ watching ──▶ driver ──▶ proxy_client ──▶ proxies
//!     ▲                                               │ │  ▲                        │
//!     ├── Lease ──── leader ──── leads? ──────────────┤ │  └──────── reports ───────┘
//!     └── Secret ─── keys ────── signing key ─────────┘ └──▶ recorder ──▶ the page, /workloads
//! ```
//!
//! [`planning`] decides, without I/O; [`driver`] is the one task that owns its state. The proxies decide which
//! connections they retire (crate `retirement`); messages and signatures are in crate `balancing`. The balancer changes
//! no object but its own Secret, ConfigMap and Lease, and stores nothing but keys.

pub mod admin;
pub mod arguments;
mod documents;
pub mod driver;
pub mod history;
pub mod keys;
pub mod leader;
pub mod metrics;
mod objects;
pub mod page;
pub mod planning;
pub mod process;
pub mod proxy_client;
pub mod recorder;
pub mod settings;
pub mod view;
pub mod watching;
