//! `evenkeel inject` and `evenkeel uninject`: the webhook's injection, offline.

mod cluster;
mod emit;
mod report;
mod workloads;

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::ArgGroup;
use inject::{Installation, Outcome, WorkloadKind};
use serde_json::Value;
use settings::{Annotation, BalanceKeys, Fault, InvalidValue, Layer, WorkloadSettings};

use crate::exit::{Blame, OrBlame as _};
use crate::manifests::{Source, documents};
use crate::reference::Reference;
use emit::Emitter;
use report::Report;

const INJECT_EXIT_CODES: &str = "\
Exit codes:
  0   every workload that asks for the proxy has it
  1   a workload that asks for the proxy does not get it: faulty annotations, or a reason of its own
  64  the command line cannot be used
  65  an input is neither YAML nor JSON
  66  an input cannot be read";

const UNINJECT_EXIT_CODES: &str = "\
Exit codes:
  0   no workload has the proxy any more
  1   a workload still has it: it cannot be read or written, or the webhook injected it again
  64  the command line cannot be used, or names no cluster
  65  an input is neither YAML nor JSON
  66  an input cannot be read
  69  the cluster cannot be reached";

/// Inject the recycling proxy into the annotated workloads of a manifest.
///
/// Does what the webhook does, without a cluster: reads manifests, injects the proxy into every workload that asks for
/// it with the annotation evenkeel.dev/max-requests or evenkeel.dev/balance, and writes all objects to standard output
/// and the outcome for each workload to standard error. Objects that do not change are copied byte for byte; an object
/// that does loses its comments.
#[derive(clap::Args)]
#[command(after_help = inject_help(), mut_arg("files", |arg| arg.required(true)))]
pub(crate) struct InjectArgs {
    #[command(flatten)]
    manifests: Manifests,

    /// A default for workloads that do not set an annotation: its name without the prefix and a value. May repeat.
    #[arg(long = "default", value_name = "NAME=VALUE", value_parser = name_and_value)]
    defaults: Vec<(String, String)>,

    /// The public key of the balancer, for workloads that ask for balancing: Ed25519, the base64 line of its PEM. May
    /// repeat, while keys are rotated.
    #[arg(long = "balancer-key", value_name = "KEY")]
    balancer_keys: Vec<String>,
}

/// Remove the recycling proxy from a manifest, or from a workload in the cluster.
///
/// Restores what 'evenkeel inject' or the webhook received, whatever the annotations ask for; the annotations stay. In
/// the cluster it changes nothing else: neither replicas nor the last-applied configuration of 'kubectl apply'. Use it
/// once the webhook no longer reviews the workload. Otherwise remove the annotations evenkeel.dev/max-requests and
/// evenkeel.dev/balance, or the webhook injects again.
#[derive(clap::Args)]
#[command(after_help = uninject_help(), group = ArgGroup::new("input").args(["workloads", "files"]).required(true))]
pub(crate) struct UninjectArgs {
    /// Workloads in the cluster of KUBECONFIG, such as deployment/web.
    #[arg(value_name = "KIND/NAME", conflicts_with = "output")]
    workloads: Vec<Reference>,

    #[command(flatten)]
    place: cluster::Place,

    #[command(flatten)]
    manifests: Manifests,
}

#[derive(clap::Args)]
struct Manifests {
    /// A manifest, a folder of them (*.json, *.yaml, *.yml), or - for standard input: YAML with any number of
    /// documents, or JSON; may repeat.
    #[arg(short, long = "filename", value_name = "FILE|FOLDER")]
    files: Vec<Source>,

    /// Read the folders in a folder, too.
    #[arg(short = 'R', long, requires = "files")]
    recursive: bool,

    /// The output format; without it, that of each input.
    #[arg(short, long, value_enum)]
    output: Option<documents::Form>,
}

fn inject_help() -> String {
    format!(
        "Examples:
  evenkeel inject -f web.yaml | kubectl apply -f -
  helm template web ./chart | evenkeel inject -f - --default jitter=0%
  evenkeel inject -R -f manifests/ > injected.yaml

{INJECT_EXIT_CODES}"
    )
}

fn uninject_help() -> String {
    format!(
        "Examples:
  evenkeel uninject deployment/web --namespace shop
  evenkeel uninject -f web.yaml

{UNINJECT_EXIT_CODES}"
    )
}

fn name_and_value(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE, such as jitter=0%")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Injects every workload that asks for it.
pub(crate) fn inject(args: &InjectArgs) -> anyhow::Result<ExitCode> {
    let defaults: BTreeMap<String, String> = args.defaults.iter().cloned().collect();
    check(&defaults)?;
    let installation = Installation { defaults, balance_keys: balance_keys(&args.balancer_keys)? };
    args.manifests.rewrite(|workload, kind| inject::inject(workload, kind, None, &installation))
}

/// Returns the keys as one value; `None` where there is none.
fn balance_keys(given: &[String]) -> anyhow::Result<Option<BalanceKeys>> {
    if given.is_empty() {
        return Ok(None);
    }
    let text = given.join(",");
    let parsed = text.parse().map_err(|InvalidValue(expected)| Fault::invalid("--balancer-key", text, expected));
    parsed.map(Some).map_err(|fault| anyhow::anyhow!("{fault}")).or_blame(Blame::Usage)
}

/// Removes every injection.
pub(crate) fn uninject(args: &UninjectArgs) -> anyhow::Result<ExitCode> {
    if args.workloads.is_empty() {
        return args.manifests.rewrite(inject::remove);
    }
    let mut report = Report::default();
    let done = cluster::uninject(&args.workloads, &args.place, &mut report);
    // What was done before an error was done.
    report.print()?;
    done.map(|()| report.code())
}

/// Resolves the defaults as a workload would that asks for nothing but the proxy.
fn check(defaults: &BTreeMap<String, String>) -> anyhow::Result<()> {
    let asking = BTreeMap::from([(Annotation::MaxRequests.key().to_owned(), "1".to_owned())]);
    let resolved = WorkloadSettings::resolve(&[Layer::Installation(defaults), Layer::Workload(&asking)]);
    resolved.map(|_| ()).or_blame(Blame::Usage)
}

impl Manifests {
    /// Reads every manifest, lets `decide` about every workload, and writes all objects.
    fn rewrite(&self, decide: impl Fn(&Value, WorkloadKind) -> Outcome) -> anyhow::Result<ExitCode> {
        let mut report = Report::default();
        let mut emitter = Emitter::new(self.output);
        for source in &self.files {
            for input in source.inputs(self.recursive)? {
                let text = input.read()?;
                let stream = documents::read(&text).with_context(|| input.to_string()).or_blame(Blame::Data)?;
                if stream.documents.iter().all(|document| document.value.is_null()) {
                    report.empty(&input);
                }
                for mut document in stream.documents {
                    let changed = workloads::rewrite(&mut document.value, &decide, &mut report)?;
                    emitter.add(&document, stream.form, changed)?;
                }
            }
        }
        io::stdout().lock().write_all(emitter.text().as_bytes()).context("standard output cannot be written")?;
        report.print()?;
        Ok(report.code())
    }
}
