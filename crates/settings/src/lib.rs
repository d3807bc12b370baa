//! The contract between the webhook, the recycling proxy, and the authors of workloads.
//!
//! Everything that a user or a program can set is defined here once: the annotation keys, the proxy's options with
//! their environment names, the types that values are parsed into, their limits and their defaults. Parsers, help
//! texts, documentation and tests are made from these definitions.
//!
//! Raw text becomes a type at one place ([`ProxySettings::from_raw`], [`WorkloadSettings::resolve`]), and *all*
//! faults are reported together, each with its key, the value that was found and what was expected.

mod annotation;
mod balance;
mod fault;
mod hold;
mod layer;
mod option;
mod pod_network;
mod proxy;
mod redirect;
mod table;
mod tls;
mod value;
mod workload;

use std::ops::RangeInclusive;

pub use annotation::{PREFIX, STATUS_KEY};
pub use balance::{
    BALANCE_KEYS_FIELD, BALANCE_LABEL, BALANCE_LABEL_VALUE, BalanceKeys, BalanceSettings, NamespaceName, WorkloadRef,
};
pub use fault::{Fault, Faults};
pub use hold::HoldPort;
pub use layer::Layer;
pub use option::{OptionSpec, RawOptions};
pub use pod_network::PodNetwork;
pub use proxy::{ProxySettings, Route, Routes};
pub use redirect::RedirectSettings;
pub use table::{Annotation, ProxyOption, RedirectOption, SharedSettings};
pub use tls::TlsSettings;
pub use value::{
    AppAddress, ByteSize, ControlSocket, CpuQuantity, FilePath, HttpGet, ImageReference, Interception, InvalidValue,
    Jitter, Liveness, LivenessProbe, LogLevel, MaxConnections, MaxRequests, MemoryQuantity, ObjectName, PortRef,
    ProxyProtocol, Question, SecretName, SocketAddress, Span, Switch, Threads,
};
pub use workload::{LEAST_MEMORY_LIMIT, Sidecar, WorkloadSettings, WorkloadTls};

/// The port on which the injected proxy accepts redirected connections.
pub const PROXY_PORT: u16 = 15_210;
/// The port of the injected proxy's admin endpoints (metrics, readiness, `/drained`).
pub const ADMIN_PORT: u16 = 15_211;
/// The ports on which the injected proxy answers the hooks of apps that wait for the drain.
pub const HOLD_PORTS: RangeInclusive<u16> = 15_212..=15_219;
/// The ports on which the injected proxy listens with interception named-port: one for each app port, from the first
/// on.
pub const NAMED_PORTS: RangeInclusive<u16> = 15_220..=15_299;
/// The ports by which TCP probes bypass the injected proxy with interception redirect: one for each app port that has a
/// TCP probe, from the first on, without those that the app uses itself. A pod has only one of the interceptions.
pub const PROBE_PORTS: RangeInclusive<u16> = NAMED_PORTS;
/// The folder in which the injected proxy finds its certificate, `tls.crt`, and the key, `tls.key`.
pub const TLS_FOLDER: &str = "/run/evenkeel/tls";
/// The numeric user and group of the injected proxy.
pub const PROXY_USER: u32 = 15_210;
/// Where a process reports that its settings are unusable: `EX_USAGE` of sysexits.h.
pub const EXIT_USAGE: u8 = 64;
