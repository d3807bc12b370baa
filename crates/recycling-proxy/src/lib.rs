//! The recycling proxy: a transparent relay that retires client connections.
//!
//! It stands in front of one app, forwards the very bytes that it receives, and puts one thing of its own into them:
//! the announcement that a connection ends, in the response at which the rule says so. Requests lose the offer to go on
//! in HTTP/2 (`Upgrade: h2c`), and get their client's address where that is asked for.
//!
//! | module | idea |
//! |---|---|
//! | `process` | the command line, the listeners and threads, what can be asked and told |
//! | `connection` | a client connection from accept to close |
//! | `app` | where the app is, whether it lives, whether it waits for the drain |
//! | `tunnel`, `http2`, `tls` | what is relayed without a look, and in HTTP/2; TLS, where the proxy terminates it |
//! | `detection` | what the first bytes say |
//! | `http1` | what is relayed in HTTP/1 |
//! | `transport` | the bytes of two connections |
//! | `retire` | the open connections, and the drain of the pod; the rule is the crate [`retirement`] |
//! | `relay`, `memory` | what both relays share; what all connections together may take |
//! | `metrics` | what metrics are made of |
//!
//! Imports run down this table, never up: a module of one row knows none of a row above it. How connections come here in a
//! pod is the crate [`redirect`].
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod app;
mod connection;
mod detection;
#[cfg(test)]
mod documentation;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod http1;
mod http2;
mod memory;
mod metrics;
mod process;
mod relay;
mod retire;
mod tls;
mod transport;
mod tunnel;

use std::io;

use settings::{ControlSocket, LogLevel};

pub use self::process::{cli, run, standby, status};

/// Asks the proxy behind `socket` to drain, and blocks until it has. Returns the line that it answers.
///
/// # Errors
/// No proxy listens there, or it ended while it drained.
pub fn drain(socket: &ControlSocket) -> io::Result<String> {
    ask(socket, process::control::Command::Drain)
}

/// Asks the proxy behind `socket` to log at `level` from now on. Returns the line that it answers.
///
/// # Errors
/// No proxy listens there.
pub fn set_log_level(socket: &ControlSocket, level: LogLevel) -> io::Result<String> {
    ask(socket, process::control::Command::LogLevel(level))
}

/// Asks the proxy behind `socket` for its metrics, in Prometheus' text format.
///
/// # Errors
/// No proxy listens there.
pub fn metrics(socket: &ControlSocket) -> io::Result<String> {
    ask(socket, process::control::Command::Metrics)
}

fn ask(socket: &ControlSocket, command: process::control::Command) -> io::Result<String> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(process::control::ask(socket, command))
}
