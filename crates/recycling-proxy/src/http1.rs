//! HTTP/1 (RFC 9112): the framing is observed, the bytes are forwarded as they are.
//!
//! [`conversation`] is the pure core: it says which bytes may pass, and announces the retirement of a connection in
//! the one response head that carries it. `relay` moves the bytes. `forwarded` is the one edit of requests, where asked for.

pub mod announce;
pub mod body;
pub mod chunked;
pub mod conversation;
pub mod fault;
pub mod fields;
mod forwarded;
pub mod head;
pub mod lines;
pub mod phase;
pub(crate) mod refusal;
pub(crate) mod relay;
