//! The balancer: it reads the load of opted-in pods from their proxies, and sends each the mean of its workload.
//!
//! ```text
//! API server ── Pods, EndpointSlices ──▶ watching ──▶ driver ──▶ asking ──▶ proxies
//!     ▲                                               │    ▲                  │
//!     ├── Lease ──── leader ──── leads? ──────────────┤    └───── reports ────┘
//!     └── Secret ─── keys ────── what signs ──────────┘
//!                              recorder ◀── views ───┘
//!                                 └──▶ the page, /workloads
//! ```
//!
//! [`planning`] decides, without I/O; [`driver`] is the one task that owns its state.

pub mod admin;
pub mod arguments;
pub mod asking;
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
pub mod recorder;
pub mod settings;
pub mod view;
pub mod watching;
