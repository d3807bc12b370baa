//! What evenkeel's proxy costs, side by side with nginx, HAProxy, Envoy and a bare byte copy, in one run.
//!
//! `cargo run --release -p bench` prints the tables of `bench/RESULTS.md` and writes that file. See `bench/README.md`.

mod accounting;
mod bare_webhook;
mod bench;
mod byte_copy;
mod clock;
mod cores;
mod limits;
mod lineup;
mod load;
mod machine;
mod peer;
mod process;
mod report;
mod review;
mod scenario;
mod sink;
mod summary;
mod tls;
mod tools;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand, ValueEnum as _};

use crate::bench::Bench;
use crate::cores::Cores;
use crate::report::Section;
use crate::scenario::{
    Scenario, balancing, cpu, idle_kinds, latency, memory, neighbours, recycling, start, threads, webhook,
    worst_case_memory,
};
use crate::tools::{Tools, Webhook};

const DEFAULT_ROUNDS: u8 = 9;

/// Measures recycling-proxy against nginx, HAProxy, Envoy and a byte copy.
///
/// Peers are installed by bench/install-peers.sh; one that is missing is marked so in the tables. The proxy is built
/// first, in release. A full run takes about 25 minutes, on a machine that should have nothing else to do.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(Args)]
struct Options {
    /// Measure only this; may repeat. Nothing is written then, unless --output says where.
    #[arg(long, value_enum)]
    only: Vec<Scenario>,
    /// Rounds of each measurement; peers take turns within a round.
    #[arg(long, default_value_t = DEFAULT_ROUNDS, value_parser = clap::value_parser!(u8).range(1..))]
    rounds: u8,
    /// Rounds of the added latency, whose 99th percentile depends on single interruptions; with fewer --rounds than 9,
    /// as many as these.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u8).range(1..))]
    tail_rounds: u8,
    /// Length of a turn, seconds.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    seconds: u16,
    /// Do not go before other processes: they are not held up, and they show in the figures.
    #[arg(long)]
    polite: bool,
    /// A binary of recycling-proxy to measure, instead of building one.
    #[arg(long)]
    proxy: Option<PathBuf>,
    /// A binary of evenkeel-webhook to measure, instead of building one.
    #[arg(long)]
    webhook: Option<PathBuf>,
    /// Where the report goes [default: bench/RESULTS.md].
    #[arg(long)]
    output: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// The byte copy: a process of its own, so that its CPU time is counted as that of the others.
    #[command(hide = true)]
    ByteCopy {
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long)]
        app: SocketAddr,
    },
    /// The bare webhook: a process of its own for the same reason.
    #[command(hide = true)]
    BareWebhook {
        #[arg(long)]
        listen: SocketAddr,
        /// The folder with tls.crt and tls.key.
        #[arg(long)]
        certificate: PathBuf,
    },
}

fn main() -> Result<()> {
    let Cli { command, options } = Cli::parse();
    match command {
        Some(Command::ByteCopy { listen, app }) => match byte_copy::run(listen, app)? {},
        Some(Command::BareWebhook { listen, certificate }) => match bare_webhook::run(listen, &certificate)? {},
        None => measure(options),
    }
}

fn measure(options: Options) -> Result<()> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace around this crate")?;
    daemon::raise_descriptor_limit();
    let all = options.only.is_empty();
    let chosen = if all { Scenario::value_variants().to_vec() } else { options.only };
    let webhook = match options.webhook {
        Some(path) => Webhook::Given(path),
        None if chosen.contains(&Scenario::Webhook) => Webhook::ToBuild,
        None => Webhook::NotNeeded,
    };
    // Before the cores are split, so that the build can use all of them.
    let tools = Tools::find(workspace, options.proxy, webhook)?;
    let cores = Cores::split()?;
    if options.polite || !cores::take_precedence() {
        eprintln!("the priority cannot be raised: other processes of this machine will affect the figures");
    }
    let dir = workspace.join("target/bench");
    // With fewer rounds than the default, latency has no more rounds than the rest.
    let is_short = options.rounds < DEFAULT_ROUNDS;
    let tail_rounds = if is_short { options.rounds } else { options.tail_rounds };
    let bench = Bench::new(tools, cores, [options.rounds, tail_rounds].map(usize::from), options.seconds, dir)?;

    let watch = machine::Watch::start()?;
    let sections = run(&bench, &chosen)?;
    let text = report::render(&machine::preface(&bench, watch.use_by_others()?), &sections);
    println!("{text}");
    let output = options.output.or_else(|| all.then(|| workspace.join("bench/RESULTS.md")));
    if let Some(path) = output {
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        eprintln!("written to {}", path.display());
    }
    Ok(())
}

fn run(bench: &Bench, chosen: &[Scenario]) -> Result<Vec<Section>> {
    let app = lineup::start_app(bench)?;
    let sink = sink::start()?;
    let mut sections = Vec::new();
    for scenario in chosen {
        match scenario {
            Scenario::Cpu => sections.extend(cpu::short(bench, app.port())),
            Scenario::Http2 => {
                let app = lineup::start_http2_app(bench)?;
                sections.push(cpu::http2(bench, app.port()));
            }
            Scenario::Bodies => sections.extend(cpu::bodies(bench, app.port(), sink)),
            Scenario::Latency => sections.push(latency::measure(bench, app.port())?),
            Scenario::Recycling => sections.push(recycling::measure(bench, app.port())),
            Scenario::Neighbours => sections.push(neighbours::measure(bench, app.port())?),
            Scenario::Balancing => sections.push(balancing::measure(bench, app.port())?),
            Scenario::Threads => sections.push(threads::measure(bench, app.port())?),
            Scenario::Memory => {
                sections.push(memory::measure(bench, app.port()));
                let http2_app = lineup::start_http2_app(bench)?;
                sections.push(idle_kinds::measure(bench, app.port(), http2_app.port()));
            }
            Scenario::WorstCaseMemory => sections.push(worst_case_memory::measure(bench)?),
            Scenario::Start => sections.push(start::measure(bench, app.port())),
            Scenario::Webhook => sections.extend(webhook::measure(bench)?),
        }
    }
    Ok(sections)
}
