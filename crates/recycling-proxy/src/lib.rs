//! The recycling proxy: a transparent relay that retires client connections.
//!
//! It stands in front of one app, forwards the very bytes that it receives, and puts one thing of its own into them:
//! the announcement that a connection ends, in the response at which the rule says so. Requests lose the offer to go on
//! in HTTP/2 (`Upgrade: h2c`), and get their client's address where that is asked for.
//!
//! | module | idea |
//! |---|---|
//! | [`cli`], [`mod@run`] | the command line; the process |
//! | `listener`, `workers`, `connection` | a connection from accept to close |
//! | `pair`, `wire`, `flow`, [`buffer`], `pipe` | the connections to both peers; one direction of bytes, seen and unseen |
//! | [`first_line`], `sentry` | what some server could take for a request, where none may pass unseen |
//! | [`protocol`], [`tls`], [`http1`], [`http2`], [`tunnel`] | what the first bytes say; TLS; HTTP; everything else |
//! | `background` | long bodies give way to short requests |
//! | [`mod@memory`], `socket_memory` | what all connections together may take, and who makes room |
//! | [`retirement`], [`mod@drain`] | when a connection is retired; the drain of the pod |
//! | `hold`, `liveness` | whether an app that is about to stop waits for the drain |
//! | `admin`, `control`, `metrics` | what can be asked, told and counted |
//! | [`redirect`] | how connections come here in a pod |
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

mod admin;
mod background;
pub mod buffer;
pub mod cli;
mod connection;
pub mod connections;
mod control;
mod descriptors;
pub mod dial;
pub mod drain;
pub mod first_line;
mod flow;
pub mod forwarded_for;
mod hold;
pub mod http1;
pub mod http2;
mod linger;
mod listener;
mod liveness;
pub mod memory;
mod metrics;
mod observer;
mod pair;
mod patience;
mod pipe;
pub mod protocol;
mod proxy_protocol;
pub mod redirect;
pub mod run;
mod send_queue;
mod sentry;
pub mod side;
mod socket_memory;
pub mod tls;
pub mod tunnel;
mod wire;
mod workers;

use std::io;

use settings::ControlSocket;

/// Asks the proxy behind `socket` to drain, and blocks until it has; the line that it answers.
///
/// # Errors
/// No proxy listens there, or it ended while it drained.
pub fn drain(socket: &ControlSocket) -> io::Result<String> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(control::drain(socket))
}
