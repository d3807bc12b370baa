//! `evenkeel`: the command line of evenkeel.
//!
//! It injects manifests offline (`inject`, `uninject`), checks workloads and the installation (`check`, `status`,
//! `dashboard`), and models and demonstrates recycling (`simulate`, `demo`). It changes no object in a cluster.
//!
//! A subcommand is a module, or a crate, with its `Args` and a `run` that returns the exit code; it is named in
//! [`Command`] and in [`run`], and nowhere else.

mod check;
mod cluster;
mod completion;
mod dashboard;
mod exit;
mod inject;
mod man;
mod manifests;
mod plugin;
mod pod_metrics;
mod reference;
mod simulate;
mod status;
mod version;

use std::process::ExitCode;

use clap::{FromArgMatches as _, Parser, Subcommand};

use exit::{Blame, OrBlame as _};
use plugin::Name;

/// Recycles keep-alive connections in front of any workload, so that load follows the pods that an autoscaler adds.
#[derive(Parser)]
#[command(
    name = "evenkeel",
    version,
    about,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Inject(inject::InjectArgs),
    Uninject(inject::UninjectArgs),
    Check(check::Args),
    Status(status::Args),
    Dashboard(dashboard::Args),
    Simulate(simulate::Args),
    Demo(demo::Args),
    #[command(alias = "completions")]
    Completion(completion::Args),
    Man(man::Args),
    Version(version::Args),
}

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let name = Name::of(words.next().as_deref());
    if name == Name::PluginCompletion {
        return completion::for_kubectl(words).unwrap_or_else(|error| exit::of_error(&error));
    }
    let parsed = name.command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(said) => return daemon::usage(&said),
    };
    run(cli.command, name).unwrap_or_else(|error| exit::of_error(&error))
}

fn run(command: Command, name: Name) -> anyhow::Result<ExitCode> {
    match command {
        Command::Inject(args) => inject::inject(&args),
        Command::Uninject(args) => inject::uninject(&args),
        Command::Check(args) => check::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Dashboard(args) => dashboard::run(&args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Demo(args) => demo::run(&args.checked().or_blame(Blame::Usage)?),
        Command::Completion(args) => completion::run(&args, name),
        Command::Man(args) => man::run(&args, name),
        Command::Version(args) => version::run(&args),
    }
}
