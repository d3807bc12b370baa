//! `evenkeel-balancer`: evenkeel's balancer.

use std::process::ExitCode;

use anyhow::Context as _;
use balancer::arguments::{Arguments, Command, KeyArguments, RunArguments};
use balancer::process;
use balancer::settings::{KeySettings, Settings};
use clap::{CommandFactory as _, Parser as _};
use daemon::{Clock, Termination, in_one_sentence};
use settings::{EXIT_USAGE, Faults};

/// One thread for the state and signatures, one for the requests to proxies.
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
        Command::Rotate(arguments) => outcome(rotate(&arguments)),
        Command::Run(arguments) => outcome(run(&arguments)),
    }
}

fn outcome(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(faults) = error.downcast_ref::<Faults>() {
                eprintln!("{faults}");
                return ExitCode::from(EXIT_USAGE);
            }
            eprintln!("evenkeel-balancer: {}", in_one_sentence(&*error));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &RunArguments) -> anyhow::Result<()> {
    let settings = Settings::parse(arguments, &daemon::host_name())?;
    daemon::log("balancer", settings.log_level);
    daemon::raise_descriptor_limit();
    choose_provider()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(async {
        let mut termination = Termination::watch().context("cannot watch for SIGTERM and SIGINT")?;
        Ok(Box::pin(process::run(&settings, Clock::system(), termination.requested())).await?)
    })
}

fn rotate(arguments: &KeyArguments) -> anyhow::Result<()> {
    let settings = KeySettings::parse(arguments)?;
    choose_provider()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let key = runtime.context("cannot start the runtime")?.block_on(async {
        let store = process::key_store(&settings).await?;
        Ok::<_, anyhow::Error>(store.rotate().await?)
    })?;
    println!("{key}");
    Ok(())
}

/// Installs the TLS provider of the API server's client, so that the crates that happen to be linked do not choose it.
fn choose_provider() -> anyhow::Result<()> {
    let provider = rustls::crypto::ring::default_provider().install_default();
    provider.map_err(|_| anyhow::anyhow!("another TLS provider was installed first"))
}
