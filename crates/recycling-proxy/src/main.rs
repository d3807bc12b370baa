//! The recycling proxy's command line; see `recycling-proxy --help`.

use std::io;
use std::process::ExitCode;

use recycling_proxy::process::cli::{self, Request, Unusable};
use recycling_proxy::process::run;
use settings::{ControlSocket, EXIT_USAGE, LogLevel};

/// `EX_UNAVAILABLE` of sysexits.h.
const EXIT_UNAVAILABLE: u8 = 69;
/// The crate whose log has the level that is set.
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
            let log = daemon::log(LOG, settings.log_level);
            outcome(run::run(&settings, log))
        }
        Request::Drain(socket) => answer(&socket, recycling_proxy::drain(&socket), "drained"),
        Request::LogLevel(level, socket) => {
            answer(&socket, recycling_proxy::set_log_level(&socket, level), "log level")
        }
        Request::Redirect(settings) => {
            let _log = daemon::log(LOG, LogLevel::Info);
            let applied = redirect::apply(&settings);
            if applied.is_ok() {
                tracing::info!(ports = ?settings.ports, to = settings.to, "inbound connections are redirected");
            }
            outcome(applied)
        }
        Request::Completion(shell) => {
            clap_complete::generate(shell, &mut cli::command(), "recycling-proxy", &mut std::io::stdout());
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

/// Prints what the running proxy has answered, which begins with `done` where it did what it was asked.
fn answer(socket: &ControlSocket, answer: io::Result<String>, done: &str) -> ExitCode {
    match answer {
        Ok(answer) => {
            print!("{answer}");
            if answer.starts_with(done) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("recycling-proxy: no proxy answers on the control socket {socket}: {error}");
            ExitCode::from(EXIT_UNAVAILABLE)
        }
    }
}

fn complain(unusable: &Unusable) -> ExitCode {
    match unusable {
        Unusable::Words(error) => {
            // Help and version come this way, too, and go to standard output.
            let _ = error.print();
            if error.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS }
        }
        Unusable::Values(faults) => {
            for fault in faults {
                eprintln!("recycling-proxy: {fault}");
            }
            ExitCode::from(EXIT_USAGE)
        }
    }
}
