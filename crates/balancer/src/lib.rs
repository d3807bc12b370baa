//! The balancer: it asks the proxies of opted-in pods for their load, and tells each the mean of its workload.
//!
//! ```text
//! API server ── Pods, EndpointSlices ──▶ watching ──▶ driver ──▶ asking ──▶ proxies
//!     ▲                                               │    ▲                  │
//!     ├── Lease ──── leader ──── leads? ──────────────┤    └───── reports ────┘
//!     └── Secret ─── keys ────── what signs ──────────┘
//! ```
//!
//! [`planning`] decides, without I/O; [`driver`] is the one task that owns what it remembers.

pub mod admin;
pub mod arguments;
pub mod asking;
pub mod clock;
pub mod driver;
pub mod keys;
pub mod leader;
pub mod metrics;
mod objects;
pub mod planning;
pub mod process;
pub mod settings;
pub mod view;
pub mod watching;
