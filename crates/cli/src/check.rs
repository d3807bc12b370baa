//! `evenkeel check`: finds why the proxy is not injected, or has no effect.
//!
//! ```text
//! files ───┐                ┌─ rules of manifests ─┐
//! cluster ─┴▶ objects ──────┤                      ├─▶ checked ─▶ text, table, JSON
//!             readings ─────┴─ rules of live pods ─┘
//! ```
//!
//! What is injected, and why not, is decided by crate `inject` alone.

mod checked;
mod finding;
mod gather;
mod installation;
mod live;
mod objects;
mod report;
mod rules;
mod scope;
mod workload;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::builder::RangedU64ValueParser;

use crate::cluster::Cluster;
use crate::exit::{Blame, OrBlame as _};
use crate::manifests::{Source, documents};
use crate::reference::Reference;
use checked::{Checked, Section, Subject};
use gather::Reader;
use installation::InstallationFacts;
use objects::Objects;
use report::Colour;
use scope::Scopes;

/// Find out why the proxy is not injected, or has no effect.
///
/// In a cluster it checks the workloads of a namespace that ask for the proxy, their pods and the proxies' metrics, and
/// evenkeel itself: the API server sends the webhook a Deployment that is not stored (a dry run). It changes nothing.
/// If a right is missing, it says so and checks the rest. It needs the rights to get and list workloads, Services and
/// the like, pods and Events, to get pods/proxy, and to create pods/portforward, for the certificate of each replica of
/// the webhook.
///
/// With -f it applies the rules that need no cluster to one stream of manifests: Deployments with their Services,
/// autoscalers, Namespaces and network policies. Give it all of them together, as in CI.
///
/// Each finding is a line: ✓ is good, ! may be intended, ✗ must be fixed. docs/TROUBLESHOOTING.md
/// explains the word in brackets.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  evenkeel check
  evenkeel check deployment/web --namespace shop
  evenkeel check --all-namespaces --output json
  helm template shop ./chart | evenkeel check -f - --strict

Exit codes:
  0   there are no problems; there may be warnings
  1   there are warnings, and --strict was given; or the check failed
  2   there are problems
  64  the command line cannot be used, or names no cluster
  65  an input is neither YAML nor JSON
  66  an input cannot be read
  69  the cluster cannot be reached")]
pub(crate) struct Args {
    /// Workloads in the cluster, such as deployment/web; without it, all that ask for the proxy, and evenkeel itself.
    #[arg(value_name = "KIND/NAME", conflicts_with_all = ["files", "all_namespaces"])]
    workloads: Vec<Reference>,

    /// The namespace of the workloads; without it, that of the context.
    #[arg(short, long, conflicts_with_all = ["files", "all_namespaces"])]
    namespace: Option<String>,

    /// Check all namespaces, and print a table.
    #[arg(short = 'A', long, conflicts_with = "files")]
    all_namespaces: bool,

    #[command(flatten)]
    cluster: Cluster,

    /// The seconds between the two readings of the proxies' metrics, from whose difference rates are computed.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = RangedU64ValueParser::<u64>::new().range(1..=300))]
    interval: u64,

    /// The namespace of evenkeel itself, if only one of several releases is meant; without it, all are checked.
    #[arg(long, value_name = "NAMESPACE", conflicts_with = "files")]
    evenkeel_namespace: Option<String>,

    /// A manifest, a folder of them (*.json, *.yaml, *.yml), or - for standard input, in place of a cluster; may repeat.
    #[arg(short, long = "filename", value_name = "FILE|FOLDER")]
    files: Vec<Source>,

    /// Read the folders in a folder, too.
    #[arg(short = 'R', long, requires = "files")]
    recursive: bool,

    /// Exit with 1 if there are warnings.
    #[arg(long)]
    strict: bool,

    /// The output format; without it, lines of text.
    #[arg(short, long, value_enum)]
    output: Option<Form>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Form {
    /// One JSON object.
    Json,
}

/// Checks manifests, or a cluster.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let checked = if args.files.is_empty() {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(of_cluster(args))?
    } else {
        let (objects, scopes) = (read(&args.files, args.recursive)?, Scopes::of([]));
        checked::checked(&checked::workloads(&objects, &scopes), &objects, &scopes)
    };
    print(&checked, args)?;
    Ok(checked.code(args.strict))
}

fn read(files: &[Source], recursive: bool) -> anyhow::Result<Objects> {
    let mut objects = Objects::default();
    for source in files {
        for input in source.inputs(recursive)? {
            let text = input.read()?;
            let stream = documents::read(&text).with_context(|| input.to_string()).or_blame(Blame::Data)?;
            // A chart that renders nothing has no faults, and is not what was meant.
            if !stream.documents.iter().any(|it| it.value.get("kind").is_some()) {
                eprintln!("{input}: no object is in it");
            }
            stream.documents.into_iter().filter(|it| !it.value.is_null()).for_each(|it| objects.add(it.value));
        }
    }
    Ok(objects)
}

async fn of_cluster(args: &Args) -> anyhow::Result<Checked> {
    let (client, of_context) = args.cluster.connect().await?;
    let namespace = (!args.all_namespaces).then(|| args.namespace.clone().unwrap_or(of_context));
    let mut reader = Reader { client, namespace, not_checked: Vec::new() };
    let mut installations = gather::installations(&mut reader, args.evenkeel_namespace.as_deref()).await?;
    let mut scopes = Vec::new();
    for facts in &installations {
        scopes.push(gather::scope(&mut reader, facts).await?);
    }
    let scopes = Scopes::of(scopes);
    let mut objects = reader.objects().await?;
    if !args.workloads.is_empty() {
        only(&mut objects, &args.workloads, reader.namespace.as_deref().unwrap_or_default())?;
    }
    let workloads = checked::workloads(&objects, &scopes);
    let mut checked = checked::checked(&workloads, &objects, &scopes);
    if args.workloads.is_empty() {
        let sections = sections(&mut reader, &mut installations, &objects, &scopes).await?;
        checked.sections.splice(0..0, sections);
    }
    let pods = gather::pods(&mut reader, &workloads, Duration::from_secs(args.interval)).await?;
    let events = gather::warning_events(&mut reader).await?;
    let now = installations.first().map_or(0.0, |facts| facts.now);
    for (workload, pods) in workloads.iter().zip(pods) {
        let scope = scopes.over(&workload.name.namespace, workload.kind, &objects);
        let mut found = live::live(workload, &pods, scope.version.as_deref());
        found.findings.extend(live::events(workload, &pods, &events, now));
        checked.add(&workload.name, found);
    }
    checked.not_checked = reader.not_checked;
    Ok(checked)
}

/// Checks evenkeel itself: each release that is looked at.
async fn sections(
    reader: &mut Reader,
    installations: &mut [InstallationFacts],
    objects: &Objects,
    scopes: &Scopes,
) -> anyhow::Result<Vec<Section>> {
    let mut sections = Vec::new();
    for (facts, scope) in installations.iter_mut().zip(scopes.all()) {
        gather::running(reader, facts).await?;
        if facts.configuration.is_some() {
            facts.probe = gather::probe(reader, objects, scope).await?;
        }
        let (subject, findings) = (Subject::Installation(facts.release.clone()), installation::installation(facts));
        sections.push(Section { subject, findings, peak_to_mean: None });
    }
    // Where the right is missing to look at it, nothing was found.
    sections.retain(|section| !section.findings.is_empty());
    Ok(sections)
}

/// Leaves the named workloads in, with what concerns them.
fn only(objects: &mut Objects, named: &[Reference], namespace: &str) -> anyhow::Result<()> {
    for reference in named {
        let is_it = |(name, kind, _): &(_, _, _)| names(reference, name, *kind);
        if !objects.workloads.iter().any(is_it) {
            let kind = reference.kind.name().to_lowercase();
            anyhow::bail!("{kind}/{} is not in the namespace {namespace}, or cannot be read", reference.name);
        }
    }
    objects.workloads.retain(|(name, kind, _)| named.iter().any(|reference| names(reference, name, *kind)));
    objects.others.clear();
    Ok(())
}

fn names(reference: &Reference, name: &objects::ObjectName, kind: inject::WorkloadKind) -> bool {
    reference.kind == kind && reference.name == name.name
}

fn print(checked: &Checked, args: &Args) -> anyhow::Result<()> {
    let text = match args.output {
        Some(Form::Json) => format!("{}\n", report::json::json(checked)),
        None if args.all_namespaces => report::table::table(checked, colour()),
        None => report::text::text(checked, args.files.is_empty(), colour()),
    };
    io::stdout().lock().write_all(text.as_bytes()).context("standard output cannot be written")
}

/// Returns whether to use colours: on terminals, unless `NO_COLOR` is set (no-color.org).
fn colour() -> Colour {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if io::stdout().is_terminal() && !unwanted { Colour::Ansi } else { Colour::Never }
}
