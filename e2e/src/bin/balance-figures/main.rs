//! `make balance-figures`: the effect of `balance: on` on a real cluster, compared with thresholds and with no proxy in
//! the same run, and with `evenkeel simulate`.

mod autoscale;
mod course;
mod disturbed;
mod fault;
mod mode;
mod phase;
mod plot;
mod pods;
mod rates;
mod scale_out;
mod simulated;
mod table;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use e2e::{Protocol, record};
use serde::de::DeserializeOwned;

use crate::autoscale::Autoscaled;
use crate::fault::Fault;
use crate::mode::Mode;
use crate::plot::{Line, Panel};
use crate::scale_out::{Again, Plan, ScaleOut};

/// Measures balancing on the cluster of KUBECONFIG, in which evenkeel is installed. Figures are saved as
/// target/e2e/balance-*.json; tables and pictures are made from all of them.
#[derive(Debug, Parser)]
struct Args {
    /// Measure only this; everything by default. `tables` makes tables and pictures again from the saved figures
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Seconds without a change, in which no connection may be retired
    #[arg(long, value_name = "N", default_value_t = 600)]
    rest: u64,
    /// The modes in which three rollouts and a scale-in follow
    #[arg(long, value_enum, default_value_t = Again::All)]
    rollouts: Again,
    /// A fault during one more scale-out: `leader-deleted` (deletes the pod of the balancer that leads),
    /// `admin-port-shut` (drops packets to the admin port of one pod; its node must be on this machine), or a shell
    /// command
    #[arg(long, value_name = "FAULT")]
    disturb: Option<Fault>,
    /// The protocol of the clients of that scale-out
    #[arg(long, value_enum, default_value_t = Speaking::Http1)]
    disturb_over: Speaking,
    /// The seed of the clients' rates
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The folder of the pictures
    #[arg(long, value_name = "FOLDER", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/pictures"))]
    pictures: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Http1,
    Grpc,
    Autoscaling,
    /// A scale-out with the fault of `--disturb`
    Disturbed,
    Tables,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Speaking {
    Http1,
    Grpc,
}

impl From<Speaking> for Protocol {
    fn from(speaking: Speaking) -> Self {
        match speaking {
            Speaking::Http1 => Self::Http1,
            Speaking::Grpc => Self::Grpc,
        }
    }
}

const HTTP1: &str = "balance-http1";
const GRPC: &str = "balance-grpc";
const AUTOSCALING: &str = "balance-autoscaling";
const DISTURBED: &str = "balance-disturbed";

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    // Built before the clients start, because building would delay them on a busy machine.
    e2e::program::evenkeel(&["version", "--client"])?;
    let plan = Plan { rest: Duration::from_secs(args.rest), again: args.rollouts, seed: args.seed };
    let wanted = |part| args.only.is_empty() || args.only.contains(&part);
    if wanted(Part::Http1) {
        record(HTTP1, &scale_out::run(Protocol::Http1, &Mode::ALL, plan).await?)?;
    }
    if wanted(Part::Grpc) {
        record(GRPC, &scale_out::run(Protocol::Grpc, &Mode::ALL, plan).await?)?;
    }
    if wanted(Part::Autoscaling) {
        record(AUTOSCALING, &autoscale::run(&Mode::ALL).await?)?;
    }
    if let Some(fault) = args.disturb.filter(|_| wanted(Part::Disturbed)) {
        record(DISTURBED, &disturbed::run(args.disturb_over.into(), fault, plan).await?)?;
    }
    show(&args.pictures)
}

/// Prints the tables of all that was measured, and draws the pictures.
fn show(pictures: &Path) -> Result<()> {
    let scale_outs: Vec<ScaleOut> = [saved(HTTP1)?, saved(GRPC)?].into_iter().flatten().collect();
    let autoscaled: Vec<Autoscaled> = saved(AUTOSCALING)?.unwrap_or_default();
    println!("\n{}\n{}\n{}", table::scale_outs(&scale_outs), table::rests(&scale_outs), table::again(&scale_outs));
    println!("{}", table::autoscaled(&autoscaled));
    if !scale_outs.is_empty() {
        write(pictures, "balance-scale-out.svg", &scale_outs.iter().map(scale_out_panel).collect::<Vec<_>>())?;
    }
    if !autoscaled.is_empty() {
        write(pictures, "balance-autoscaling.svg", &[autoscaling_panel(&autoscaled)])?;
    }
    Ok(())
}

fn scale_out_panel(figures: &ScaleOut) -> Panel<'_> {
    let lines = figures.lanes.iter().map(|lane| Line {
        label: &lane.mode,
        measured: &lane.scale_out.peak_to_mean,
        simulated: &lane.simulated.peak_to_mean,
    });
    Panel { title: format!("{}: 200 clients, 4 → 8 pods", figures.protocol), lines: lines.collect() }
}

fn autoscaling_panel(all: &[Autoscaled]) -> Panel<'_> {
    let lines = all.iter().map(|autoscaled| Line {
        label: &autoscaled.mode,
        measured: &autoscaled.phase.peak_to_mean,
        simulated: &autoscaled.simulated.peak_to_mean,
    });
    Panel { title: "40 clients, an autoscaler that begins with one pod".to_owned(), lines: lines.collect() }
}

fn write(folder: &Path, name: &str, panels: &[Panel<'_>]) -> Result<()> {
    let file = folder.join(name);
    std::fs::write(&file, plot::svg(panels)?).with_context(|| format!("cannot write {}", file.display()))
}

/// Returns the figures that were recorded under a name, if there are some.
fn saved<T: DeserializeOwned>(name: &str) -> Result<Option<T>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/e2e").join(name).with_extension("json");
    if !file.exists() {
        return Ok(None);
    }
    let text = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(Some(serde_json::from_slice(&text).with_context(|| format!("{} is from another version", file.display()))?))
}
