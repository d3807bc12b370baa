//! The process: its command line, its sockets and threads, its admin endpoints and its control socket.

mod admin;
pub mod cli;
pub(crate) mod control;
mod listener;
mod node;
mod ports;
pub mod run;
pub mod standby;
pub mod status;
mod workers;
