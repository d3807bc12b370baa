//! What every long-running program of ours does alike: it logs to standard error, raises its limit of open files, listens on
//! IPv6 and IPv4, shows its health and metrics, ends by a signal, reads one wall clock, tells an error in one sentence, and
//! says what a command line lacks.

mod clock;
mod command_line;
mod descriptors;
mod error;
mod exposition;
mod host;
mod listen;
mod log;
mod process_metrics;
mod serve;
mod termination;
mod visitors;

pub use clock::Clock;
pub use command_line::{print_completions, usage};
pub use descriptors::{descriptor_limit, raise_descriptor_limit};
pub use error::in_one_sentence;
pub use exposition::{Exposition, expose};
pub use host::host_name;
pub use listen::{listen, listen_shared};
pub use log::{Log, log};
pub use serve::serve;
pub use termination::Termination;
