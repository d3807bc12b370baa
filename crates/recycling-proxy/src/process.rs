//! The process: its command line, its sockets and threads, and what it can be asked and told.

mod admin;
pub mod cli;
pub(crate) mod control;
mod listener;
mod node;
pub mod run;
pub mod standby;
pub mod status;
mod workers;
