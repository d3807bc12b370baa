//! An app for tests, benchmarks and the demo: it answers with its name, counts requests, and burns CPU time if told to.
//! It serves HTTP/1.1, and HTTP/2 with prior knowledge.
//!
//! | request | answer |
//! |---|---|
//! | `GET /` | the name and a line feed; field `x-pod` has the name too, as on every answer |
//! | `GET /healthz` | 200 without content; not counted, costs no CPU time |
//! | `GET /bytes/N` | N bytes |
//! | `GET /cut` | half of a response, after which the connection ends |
//! | `GET /lookalike` | an answer with the field `content_length`, which no strict proxy forwards |
//! | `GET /count` | `{"requests":N,"connections":M}`; not counted, costs no CPU time |
//! | `POST /echo` | the body that was sent |
//! | `POST /echo.Echo/Say` | gRPC: the messages that were sent |
//! | `POST /stop-accepting` | 200 without content; the app accepts no further connection and keeps running |
//! | `POST /fail-health` | 200 without content; from now on `GET /healthz` gets 503, all other requests get their answer |
//! | `POST /grpc.health.v1.Health/Check` | gRPC: `SERVING`; not counted, costs no CPU time |
//!
//! As `echo-app --check ADDRESS` it sends `GET /healthz` to an app, and fails unless it gets 200.

mod answer;
mod burn;
mod check;
mod header;
mod serve;
mod termination;

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use hyper::header::HeaderValue;
use tokio::net::TcpListener;

/// An app for tests that answers with its name: HTTP/1.1, and HTTP/2 with prior knowledge.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where clients connect. The address `[::]` takes IPv4 too, and falls back to 0.0.0.0 on a machine without IPv6.
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:8080")]
    listen: SocketAddr,
    /// The name that it answers with.
    #[arg(long, env = "HOSTNAME", default_value = "echo-app")]
    name: HeaderValue,
    /// CPU time burnt for each request, such as 6ms.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
    burn: Duration,
    /// What SIGTERM and SIGINT do.
    #[arg(long, value_enum, default_value_t = OnTerm::Exit)]
    on_term: OnTerm,
    /// Expect a PROXY protocol header, version 1, on every connection; close a connection without one.
    #[arg(long)]
    proxy_protocol: bool,
    /// Do not serve: send GET /healthz to the app at this address, and fail unless it gets 200.
    #[arg(long, value_name = "ADDRESS")]
    check: Option<SocketAddr>,
}

/// What SIGTERM and SIGINT do.
#[derive(Clone, Copy, ValueEnum)]
enum OnTerm {
    /// Exit at once, even with requests in flight, as most apps do.
    Exit,
    /// Stop accepting, finish the requests in flight, then exit.
    Graceful,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(address) = arguments.check {
        return check::check(address, if arguments.proxy_protocol { header::UNKNOWN } else { "" });
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if let OnTerm::Exit = arguments.on_term {
        termination::exit_at_once()?;
    }
    runtime.block_on(async {
        let at = arguments.listen;
        let listener = daemon::listen(at)
            .with_context(|| format!("--listen {at}: expected an address of this machine and a free port"))?;
        announce(&listener)?;
        let app = answer::App::new(arguments.name, arguments.burn);
        let termination = termination::requested()?;
        serve::until(listener, app, arguments.proxy_protocol, termination).await;
        Ok(())
    })
}

/// Prints the address for the process that started this one: the port may have been 0.
fn announce(listener: &TcpListener) -> std::io::Result<()> {
    let style = if std::io::stderr().is_terminal() { ("\u{1b}[1m", "\u{1b}[0m") } else { ("", "") };
    eprintln!("echo-app: listening on {}{}{}", style.0, listener.local_addr()?, style.1);
    Ok(())
}
