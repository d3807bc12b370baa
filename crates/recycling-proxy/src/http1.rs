//! HTTP/1 (RFC 9112): the framing is observed, the bytes are forwarded as they are.
//!
//! [`conversation`] is the pure core: it says which bytes may pass, and announces the retirement of a connection in
//! the one response head that carries it. `relay` moves the bytes. Requests are edited
//! in two places: `upgrade` takes offers of HTTP/2 out, `forwarded` puts the client's address in where that is asked for.

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
mod upgrade;
