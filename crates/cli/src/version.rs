//! `evenkeel version`.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, ListParams};
use serde_json::{Value, json};

use crate::cluster::{Cluster, said};

/// The label that the chart gives the Deployments of an installation.
const INSTALLATION: &str = "app.kubernetes.io/name=evenkeel";

/// Print the version of this program, and of what is installed in the cluster.
///
/// It needs leave to list Deployments in all namespaces.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  evenkeel version
  evenkeel version --client

Exit codes:
  0   the versions were printed
  1   the cluster does not allow Deployments to be listed
  64  no kubeconfig can be used
  69  the cluster cannot be reached")]
pub(crate) struct Args {
    /// Print the version of this program alone, and ask no cluster.
    #[arg(long, conflicts_with_all = ["kubeconfig", "context"])]
    client: bool,

    /// The form of what is printed; without it, lines for people.
    #[arg(short, long, value_enum)]
    output: Option<Form>,

    #[command(flatten)]
    cluster: Cluster,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Form {
    /// One JSON object.
    Json,
}

/// A Deployment of an installation.
struct Installed {
    name: String,
    version: String,
}

/// Prints the versions; that of this program also where the cluster does not answer.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let installed = if args.client { Ok(Vec::new()) } else { installed(&args.cluster) };
    let found = installed.as_deref().unwrap_or_default();
    let text = match args.output {
        Some(Form::Json) => document(found, args.client).to_string(),
        None => lines(found, args.client || installed.is_err()),
    };
    writeln!(io::stdout().lock(), "{text}").context("standard output cannot be written")?;
    installed.map(|_| ExitCode::SUCCESS)
}

fn installed(cluster: &Cluster) -> anyhow::Result<Vec<Installed>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (client, _) = cluster.connect().await?;
        let deployments: Api<Deployment> = Api::all(client);
        let list = deployments.list(&ListParams::default().labels(INSTALLATION)).await.map_err(said)?;
        Ok(list.items.into_iter().map(Installed::of).collect())
    })
}

impl Installed {
    fn of(deployment: Deployment) -> Self {
        let metadata = deployment.metadata;
        let labels = metadata.labels.unwrap_or_default();
        let text = |text: Option<String>| text.unwrap_or_default();
        Self {
            name: format!("{}/{}", text(metadata.namespace), text(metadata.name)),
            version: labels.get("app.kubernetes.io/version").cloned().unwrap_or_else(|| "unknown".to_owned()),
        }
    }
}

fn lines(installed: &[Installed], client_alone: bool) -> String {
    let mut lines = vec![format!("client: {}", env!("CARGO_PKG_VERSION"))];
    lines.extend(installed.iter().map(|installed| format!("{}: {}", installed.name, installed.version)));
    if installed.is_empty() && !client_alone {
        lines.push("cluster: evenkeel is not installed".to_owned());
    }
    lines.join("\n")
}

fn document(installed: &[Installed], client_alone: bool) -> Value {
    let client = json!({"version": env!("CARGO_PKG_VERSION")});
    if client_alone {
        return json!({"client": client});
    }
    let installed: Vec<Value> =
        installed.iter().map(|installed| json!({"name": installed.name, "version": installed.version})).collect();
    json!({"client": client, "installed": installed})
}
