//! The parts that the long-running programs (webhook, recycling proxy, balancer) have in common: the log on standard
//! error, the limit of open files, dual-stack listeners, an HTTP server with bounds for the admin port, the response to
//! a scrape, shutdown by a signal, the wall clock, and messages for errors and unusable command lines.
//!
//! Each part is a function or a small type; there is no framework that calls the program. The CLI uses the messages,
//! too. Options of a program are not here, but in its own crate or in `settings`.

mod clock;
mod command_line;
mod descriptors;
mod error;
mod host;
mod listen;
mod log;
mod process_metrics;
mod scrape;
mod serve;
mod termination;
mod visitors;

pub use clock::Clock;
pub use command_line::{print_completions, usage};
pub use descriptors::{descriptor_limit, raise_descriptor_limit};
pub use error::in_one_sentence;
pub use host::host_name;
pub use listen::{Reservation, listen, listen_shared, reserve};
pub use log::{Log, log};
pub use scrape::{ScrapeResponse, expose};
pub use serve::serve;
pub use termination::Termination;
