//! What fuzz targets call: the pure cores, for fuzzing alone.

pub use crate::detection::first_line::{FirstLine, Reading};
pub use crate::detection::protocol::{Protocol, Verdict, detect};
pub use crate::relay::broken::{Broken, BrokenBy, ExchangePhase};
pub use crate::relay::forwarded_for::ForwardedFor;
pub use crate::relay::protocol_error::ProtocolError;
pub use crate::relay::side::Side;
pub use crate::relay::source::Source;
pub use crate::transport::buffer::Buffer;

/// The cores of HTTP/1.
pub mod http1 {
    pub use crate::http1::announce::announced;
    pub use crate::http1::body::Body;
    pub use crate::http1::conversation::{Conversation, ProtocolError};
    pub use crate::http1::fault::Fault;
    pub use crate::http1::head::{Method, RequestHead, ResponseHead};
    pub use crate::http1::lines::HeadEnd;
    pub use crate::http1::phase::Phase;
}

/// The cores of HTTP/2.
pub mod http2 {
    pub use crate::http2::frame::{first_goaway, ping};
    pub use crate::http2::graceful_shutdown::GracefulShutdown;
    pub use crate::http2::session::{ProtocolError, Session};
}
