//! `evenkeel-webhook`: evenkeel's admission webhook.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use axum::http::uri::Authority;
use clap::Parser;
use rustix::process::{Resource, getrlimit, setrlimit};
use settings::EXIT_USAGE;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use webhook::arguments::{Arguments, Command, RunArguments};
use webhook::clock::Clock;
use webhook::review::Judge;
use webhook::server::{StartError, Webhook};
use webhook::settings::Settings;

/// Reviews take microseconds; the second thread is for those that come in while a large one is read.
const THREADS: usize = 2;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // To standard output with code 0 where help was asked for.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match arguments.command {
        Command::Completions { shell } => {
            Arguments::completions(shell, &mut io::stdout());
            ExitCode::SUCCESS
        }
        Command::Check { address, within } => check(&address, within.get()),
        Command::Run(arguments) => run(&arguments),
    }
}

fn run(arguments: &RunArguments) -> ExitCode {
    let settings = match Settings::parse(arguments) {
        Ok(settings) => settings,
        Err(faults) => {
            eprintln!("{faults}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match serve(&settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("evenkeel-webhook: {}", once(&error));
            let unusable = matches!(error.downcast_ref(), Some(StartError::Files(_)));
            if unusable { ExitCode::from(EXIT_USAGE) } else { ExitCode::FAILURE }
        }
    }
}

/// The error and what is behind it, each sentence once: many errors repeat what they come from.
fn once(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told {
        told if told.is_empty() => cause,
        told if told.contains(&cause) => told,
        told => format!("{told}: {cause}"),
    })
}

fn check(address: &Authority, within: Duration) -> ExitCode {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime");
    let checked = runtime.and_then(|runtime| Ok(runtime.block_on(webhook::check::ready(address, within))?));
    match checked {
        Ok(()) => {
            println!("{address} is ready");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("evenkeel-webhook: {}", once(&error));
            ExitCode::FAILURE
        }
    }
}

fn serve(settings: &Settings) -> anyhow::Result<()> {
    log(settings);
    raise_limit_of_descriptors();
    // One provider for the client of the API server too, chosen here and not by what happens to be linked.
    let provider = rustls::crypto::ring::default_provider().install_default();
    provider.map_err(|_| anyhow::anyhow!("another TLS provider was installed first"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(async {
        let mut terminated = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
        let mut interrupted = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
        let judge = Judge::with_defaults(settings.defaults.clone());
        let webhook = Webhook::start(settings, judge, Clock::system()).await?;
        let told = async {
            tokio::select! {
                _ = terminated.recv() => {}
                _ = interrupted.recv() => {}
            }
        };
        webhook.serve(told).await.context("cannot serve")
    })
}

/// The level holds for us; of libraries only what needs a person is shown, unless everything is.
fn log(settings: &Settings) {
    let level = settings.log_level.word();
    // The client of the API server logs what it returns to us as an error, and we log that.
    let filter = match level {
        "trace" => level.to_owned(),
        level => format!("warn,kube_client=off,kube_runtime=off,webhook={level}"),
    };
    let subscriber = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(filter)).with_writer(io::stderr);
    subscriber.with_ansi(io::stderr().is_terminal()).init();
}

/// Many systems start a process with a soft limit of 1024, and each of two ports holds as many connections.
fn raise_limit_of_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it is refused, the limit stays, and fewer connections are accepted at once.
    let _ = setrlimit(Resource::Nofile, limit);
}
