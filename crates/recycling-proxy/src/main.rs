//! The recycling proxy's command line; see `recycling-proxy --help`.

use std::io;
use std::process::ExitCode;

use exposition::Metrics;
use recycling_proxy::cli::{self, Request, Unusable};
use recycling_proxy::{run, standby, status};
use redirect::Applied;
use settings::{ControlSocket, EXIT_USAGE, LogLevel, ProxySettings};

/// `EX_UNAVAILABLE` of sysexits.h.
const EXIT_UNAVAILABLE: u8 = 69;
/// The crate whose log level is configured.
const LOG: &str = "recycling_proxy";

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Ok(request) => follow(request),
        Err(unusable) => complain(&unusable),
    }
}

fn follow(request: Request) -> ExitCode {
    match request {
        Request::Run(settings) => {
            let log = daemon::log(LOG, settings.shared.log_level);
            outcome(run::run(&settings, log))
        }
        Request::Drain(settings) => drain(&settings),
        Request::Status(settings) => status(&settings),
        Request::LogLevel(level, socket) => {
            answer(&socket, recycling_proxy::set_log_level(&socket, level), "log level")
        }
        Request::Redirect(settings) => {
            let _log = daemon::log(LOG, LogLevel::Info);
            let applied = redirect::apply(&settings);
            match applied {
                Ok(Applied::Redirected) => {
                    tracing::info!(ports = ?settings.ports, to = settings.to, "inbound connections are redirected");
                }
                Ok(Applied::HostNetwork) => tracing::warn!(
                    "the pod uses its node's network (hostNetwork), where a redirection would take the node's own connections: \
                     nothing is redirected, and no client connection passes through the proxy"
                ),
                Err(_) => {}
            }
            outcome(applied.map(|_| ()))
        }
        Request::Completion(shell) => {
            daemon::print_completions(shell, cli::command());
            ExitCode::SUCCESS
        }
    }
}

fn outcome<E: std::error::Error>(result: Result<(), E>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("recycling-proxy: {error}");
            ExitCode::FAILURE
        }
    }
}

fn drain(settings: &ProxySettings) -> ExitCode {
    // In the node's network, the control socket may be that of another pod's proxy.
    if standby::is_needed(settings) {
        println!("drained: no client connection passes through the proxy of a pod that uses its node's network");
        return ExitCode::SUCCESS;
    }
    answer(&settings.control, recycling_proxy::drain(&settings.control), "drained")
}

fn status(settings: &ProxySettings) -> ExitCode {
    if standby::is_needed(settings) {
        println!("no client connection passes through the proxy of a pod that uses its node's network (hostNetwork)");
        return ExitCode::SUCCESS;
    }
    match recycling_proxy::metrics(&settings.control) {
        Ok(metrics) => match Metrics::parse(&metrics) {
            Ok(metrics) => {
                print!("{}", status::report(&metrics));
                ExitCode::SUCCESS
            }
            // A refusal.
            Err(line) => {
                eprintln!("recycling-proxy: {line}");
                ExitCode::FAILURE
            }
        },
        Err(error) => unanswered(&settings.control, &error),
    }
}

/// Prints the response of the running proxy. It begins with `done` if the command succeeded.
fn answer(socket: &ControlSocket, answer: io::Result<String>, done: &str) -> ExitCode {
    match answer {
        Ok(answer) => {
            print!("{answer}");
            if answer.starts_with(done) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => unanswered(socket, &error),
    }
}

fn unanswered(socket: &ControlSocket, error: &io::Error) -> ExitCode {
    eprintln!("recycling-proxy: no proxy answers on the control socket {socket}: {error}");
    ExitCode::from(EXIT_UNAVAILABLE)
}

fn complain(unusable: &Unusable) -> ExitCode {
    match unusable {
        Unusable::Words(said) => daemon::usage(said),
        Unusable::Values(faults) => {
            for fault in faults {
                eprintln!("recycling-proxy: {fault}");
            }
            ExitCode::from(EXIT_USAGE)
        }
    }
}
