//! `evenkeel-webhook`: evenkeel's admission webhook.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use axum::http::uri::Authority;
use clap::{CommandFactory as _, Parser as _};
use daemon::{Clock, Termination, in_one_sentence};
use settings::EXIT_USAGE;
use webhook::arguments::{Arguments, Command, RunArguments};
use webhook::installation::CurrentInstallation;
use webhook::review::Handler;
use webhook::server::{StartError, Webhook};
use webhook::settings::Settings;

/// Reviews take microseconds. The second thread serves those that arrive while a large one is parsed.
const THREADS: usize = 2;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(said) => return daemon::usage(&said),
    };
    match arguments.command {
        Command::Completions { shell } => {
            daemon::print_completions(shell, Arguments::command());
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
            eprintln!("evenkeel-webhook: {}", in_one_sentence(&*error));
            let unusable = matches!(error.downcast_ref(), Some(StartError::Files(_)));
            if unusable { ExitCode::from(EXIT_USAGE) } else { ExitCode::FAILURE }
        }
    }
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
            eprintln!("evenkeel-webhook: {}", in_one_sentence(&*error));
            ExitCode::FAILURE
        }
    }
}

fn serve(settings: &Settings) -> anyhow::Result<()> {
    daemon::log("webhook", settings.log_level);
    daemon::raise_descriptor_limit();
    // One TLS provider for all, chosen here instead of by what happens to be linked.
    let provider = rustls::crypto::ring::default_provider().install_default();
    provider.map_err(|_| anyhow::anyhow!("another TLS provider was installed first"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(async {
        let mut termination = Termination::watch().context("cannot watch for SIGTERM and SIGINT")?;
        let installation = CurrentInstallation::new(settings.defaults.clone());
        let handler = Handler::injecting(installation.clone());
        let webhook = Webhook::start(settings, handler, installation, Clock::system()).await?;
        webhook.serve(termination.requested()).await.context("cannot serve")
    })
}
