//! The types that setting values are parsed into.
//!
//! Each has `FromStr` (whose error says what was expected) and `Display` (whose output parses back to the same value).

mod app_address;
mod image;
mod limits;
mod liveness;
mod names;
mod object_name;
mod optional;
mod port;
mod quantity;
mod socket_address;
mod span;

pub use app_address::AppAddress;
pub use image::ImageReference;
pub use limits::{ByteSize, Jitter, MaxConnections, MaxRequests, Threads};
pub use liveness::{HttpGet, Liveness, LivenessProbe, Question};
pub use names::{ControlSocket, FilePath, Interception, LogLevel, PortRef, ProxyProtocol, SecretName, Switch};
pub use object_name::ObjectName;
pub(crate) use object_name::{is_label, is_subdomain};
pub(crate) use optional::{Auto, Off};
pub(crate) use port::PortNumber;
pub use quantity::{CpuQuantity, MemoryQuantity};
pub use socket_address::SocketAddress;
pub use span::Span;

/// A value that does not parse; displays what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidValue(pub &'static str);
