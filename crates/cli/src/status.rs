//! `evenkeel status`: what the proxies of workloads do, pod by pod.
//!
//! ```text
//! pods ── list ──▶ Facts ─────────┐
//! balancer ── /workloads ──▶ Known ├─▶ Reading, twice ──▶ compare ──▶ Status ──▶ table, JSON, YAML
//! proxies ── /metrics ──▶ Sample ─┘
//! ```

pub(crate) mod balancer;
mod compare;
mod document;
mod facts;
mod reading;
mod screen;
mod table;
mod watch;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, sleep};

use crate::cluster::Cluster;
use crate::reference::Reference;
use compare::Status;
use reading::{Reader, Scope};

/// Show the load of each pod, what its proxy retires, and whether balancing is in force.
///
/// Figures of balanced workloads come from the balancer, those of others from two readings of their pods' metrics; both
/// through the API server, without Prometheus. It needs the rights to list pods and to get pods/proxy, and names a
/// right that is missing.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  evenkeel status
  evenkeel status deployment/web --namespace shop --watch
  evenkeel status -A -o json

Exit codes:
  0   the status was printed
  1   nothing has the proxy, or a right is missing
  64  the command line cannot be used, or names no cluster
  69  the cluster cannot be reached")]
pub(crate) struct Args {
    /// Workloads, such as deployment/web; without it, all that have the proxy.
    #[arg(value_name = "KIND/NAME", conflicts_with = "all_namespaces")]
    workloads: Vec<Reference>,

    /// The namespace of the workloads; without it, that of the context.
    #[arg(short, long, conflicts_with = "all_namespaces")]
    namespace: Option<String>,

    /// All namespaces.
    #[arg(short = 'A', long)]
    all_namespaces: bool,

    /// Repeat after each interval, until interrupted: a terminal shows the last status only.
    #[arg(short, long, conflicts_with = "output")]
    watch: bool,

    /// The time between two readings, from whose difference rates are computed.
    #[arg(long, default_value = "5", value_name = "SECONDS", value_parser = clap::value_parser!(u16).range(1..=3600))]
    interval: u16,

    /// The output format; without it, a table.
    #[arg(short, long, value_enum)]
    output: Option<Form>,

    /// Read the metrics of every pod, also of workloads that the balancer reports.
    #[arg(long)]
    from_pods: bool,

    /// The namespace of evenkeel itself.
    #[arg(long, value_name = "NAMESPACE", default_value = "evenkeel")]
    evenkeel_namespace: String,

    #[command(flatten)]
    cluster: Cluster,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// A table with more columns.
    Wide,
    /// One JSON object.
    Json,
    /// The same as YAML.
    Yaml,
}

/// Prints the status, once or repeatedly.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (client, context_namespace) = args.cluster.connect().await?;
        let namespace = args.namespace.clone().unwrap_or(context_namespace);
        let scope = Scope {
            namespace: (!args.all_namespaces).then_some(namespace),
            workloads: args.workloads.clone(),
            from_pods: args.from_pods,
        };
        let reader = Reader::new(client, scope, args.evenkeel_namespace.clone());
        let interval = Duration::from_secs(args.interval.into());
        if args.watch { watch::watch(&reader, interval).await } else { once(&reader, interval, args.output).await }
    })
}

async fn once(reader: &Reader, interval: Duration, form: Option<Form>) -> anyhow::Result<ExitCode> {
    let (before, start) = (reader.read().await?, Instant::now());
    if !before.is_empty() {
        sleep(interval).await;
    }
    let after = reader.read().await?;
    let status = compare::compare(&before, &after, start.elapsed());
    let text = match form {
        None => table::text(&status, table::Width::Narrow),
        Some(Form::Wide) => table::text(&status, table::Width::Wide),
        Some(Form::Json) => document::json(&status)?,
        Some(Form::Yaml) => document::yaml(&status)?,
    };
    io::stdout().lock().write_all(text.as_bytes()).context("standard output cannot be written")?;
    Ok(code(&status))
}

/// Says what is missing on standard error, and returns the exit code.
fn code(status: &Status) -> ExitCode {
    for missing in &status.missing {
        eprintln!("note: {missing}");
    }
    if status.has_figures() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
