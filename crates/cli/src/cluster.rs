//! The cluster that a command asks.

use std::path::PathBuf;

use anyhow::Context as _;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::exit::{Blame, OrBlame as _};

/// Which cluster, as kubectl is told.
#[derive(clap::Args)]
pub(crate) struct Cluster {
    /// The kubeconfig file; left out, those of KUBECONFIG, or ~/.kube/config, or the service account of a pod.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// The context of the kubeconfig; left out, the current one.
    #[arg(long)]
    context: Option<String>,
}

impl Cluster {
    /// Returns a client of the cluster, and the namespace of the context. Nothing is sent yet.
    ///
    /// # Errors
    /// No kubeconfig, or none that can be used (exit code 64).
    pub(crate) async fn connect(&self) -> anyhow::Result<(Client, String)> {
        let config = self.config().await.or_blame(Blame::Usage)?;
        let namespace = config.default_namespace.clone();
        Ok((Client::try_from(config).context("kubeconfig").or_blame(Blame::Usage)?, namespace))
    }

    async fn config(&self) -> anyhow::Result<Config> {
        if self.kubeconfig.is_none() && self.context.is_none() {
            return Config::infer().await.context("no cluster: neither a kubeconfig nor a service account is there");
        }
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let kubeconfig = match &self.kubeconfig {
            Some(path) => Kubeconfig::read_from(path).with_context(|| path.display().to_string())?,
            None => Kubeconfig::read().context("kubeconfig")?,
        };
        Config::from_custom_kubeconfig(kubeconfig, &options).await.context("kubeconfig")
    }
}

/// Returns what an API server has said as kubectl prints it; an API server that cannot be reached has exit code 69.
pub(crate) fn said(error: kube::Error) -> anyhow::Error {
    match error {
        kube::Error::Api(status) => anyhow::anyhow!("{}", status.message),
        error => {
            let unreachable: anyhow::Result<()> =
                Err(error).context("the cluster cannot be reached").or_blame(Blame::Cluster);
            unreachable.unwrap_err()
        }
    }
}
