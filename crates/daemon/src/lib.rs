//! What every long-running program of ours does alike: it logs to standard error, raises its limit of open files, listens on
//! IPv6 and IPv4, ends by a signal, and tells an error in one sentence.

mod descriptors;
mod error;
mod listen;
mod log;
mod termination;

pub use descriptors::{descriptor_limit, raise_descriptor_limit};
pub use error::in_one_sentence;
pub use listen::listen;
pub use log::{Log, log};
pub use termination::Termination;
