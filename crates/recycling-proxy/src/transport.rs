//! The bytes between a client and its app, over TCP or TLS. Nothing here depends on HTTP.
//!
//! | module | idea |
//! |---|---|
//! | `wire`, `pair` | a connection to a peer; a client's connection with its app's |
//! | `flow` | one direction of bytes, through a [`buffer`] if the framing examines them, or through a `pipe` of the kernel |
//! | `background` | long bodies yield to short requests |
//! | `deadline` | a deadline whose timer exists only while something is awaited |
//! | `linger`, `send_queue` | the lingering close, and the bytes that the peer has not acknowledged |
//! | `socket_memory`, `descriptors` | socket buffers and file descriptors |
//!
//! Buffers, pipes and turns are pooled per thread. That requires a `current_thread` runtime in each thread, so that one
//! thread serves a connection from its beginning to its end. On a runtime that moves tasks, pools would drift between
//! threads, and limits per thread would not hold.

pub(crate) mod background;
#[cfg_attr(not(feature = "fuzzing"), allow(unreachable_pub))]
pub(crate) mod buffer;
mod chunk;
pub(crate) mod deadline;
pub(crate) mod descriptors;
pub(crate) mod flow;
pub(crate) mod linger;
pub(crate) mod pair;
pub(crate) mod pipe;
pub(crate) mod send_queue;
pub(crate) mod socket_memory;
pub(crate) mod wire;
