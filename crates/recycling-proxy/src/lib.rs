//! The recycling proxy: a transparent relay that retires client connections.
//!
//! It runs beside one app and forwards bytes unchanged, with three edits: a response announces the end of its
//! connection when it is retired, offers of HTTP/2 (`Upgrade: h2c`) are removed from requests, and with `forwarded-for`
//! the client's address is added to them.
//!
//! | module | idea |
//! |---|---|
//! | `process` | the command line, listeners and threads, admin endpoints, control socket |
//! | `connection` | a client connection from accept to close |
//! | `app` | the app's address, its liveness, and how its hook waits for the drain |
//! | `tunnel`, `http2`, `tls` | the relay of bytes that are not parsed, and of HTTP/2; TLS, where the proxy terminates it |
//! | `detection` | the protocol of the first bytes |
//! | `http1` | the relay of HTTP/1 |
//! | `transport` | the bytes of two connections |
//! | `retire` | the open connections, and the drain of the pod; the rule is the crate [`retirement`] |
//! | `relay`, `memory` | what both relays share; the memory of all connections |
//! | `metrics` | counters and gauges, without the metrics of other modules |
//!
//! A module imports only from its own row and those below it. In a pod, the crate [`redirect`] redirects connections to
//! this proxy.
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

/// Drains the proxy with this control `socket`, and blocks until it has. Returns its response.
///
/// # Errors
/// If no proxy listens there, or it ends during the drain.
pub fn drain(socket: &ControlSocket) -> io::Result<String> {
    ask(socket, process::control::Command::Drain)
}

/// Changes the log level of the proxy with this control `socket`. Returns its response.
///
/// # Errors
/// If no proxy listens there.
pub fn set_log_level(socket: &ControlSocket, level: LogLevel) -> io::Result<String> {
    ask(socket, process::control::Command::LogLevel(level))
}

/// Returns the metrics of the proxy with this control `socket`, in Prometheus' text format.
///
/// # Errors
/// If no proxy listens there.
pub fn metrics(socket: &ControlSocket) -> io::Result<String> {
    ask(socket, process::control::Command::Metrics)
}

fn ask(socket: &ControlSocket, command: process::control::Command) -> io::Result<String> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(process::control::ask(socket, command))
}
