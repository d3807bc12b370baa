//! Bytes between a client and its app, by TCP or by TLS over it, without a word on what they mean.
//!
//! | module | idea |
//! |---|---|
//! | `wire`, `pair` | a connection to a peer; a client's and its app's |
//! | `flow` | one direction of bytes, through a [`buffer`] where the framing looks at them, or a `pipe` of the kernel |
//! | `background` | long bodies give way to short requests |
//! | `patience` | a timer that exists only while something is awaited |
//! | `linger`, `send_queue` | the end of a connection, without a loss |
//! | `socket_memory`, `descriptors` | what the kernel gives to sockets |
//!
//! Buffers, pipes and turns are pooled by thread. That rests on each thread's own runtime (`current_thread`): a connection
//! is served by one thread from its beginning to its end. On a runtime that moves tasks between threads, pools would drift
//! from one thread to another, and a limit per thread would be none.

pub(crate) mod background;
#[cfg_attr(not(feature = "fuzzing"), allow(unreachable_pub))]
pub(crate) mod buffer;
pub(crate) mod descriptors;
pub(crate) mod flow;
pub(crate) mod linger;
pub(crate) mod pair;
pub(crate) mod patience;
pub(crate) mod pipe;
pub(crate) mod send_queue;
pub(crate) mod socket_memory;
pub(crate) mod wire;
