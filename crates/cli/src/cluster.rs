//! The cluster that a command uses.

use std::error::Error;
use std::io;
use std::iter::successors;
use std::path::PathBuf;

use anyhow::Context as _;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

use crate::exit::{Blame, OrBlame as _};

/// Which cluster; the flags are kubectl's.
#[derive(clap::Args)]
pub(crate) struct Cluster {
    /// The kubeconfig file; without it, those of KUBECONFIG, or ~/.kube/config, or the service account of a pod.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// The context of the kubeconfig; without it, the current one.
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
        let read = match &self.kubeconfig {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        };
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        match read {
            Ok(kubeconfig) => {
                let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
                config.map_err(|error| self.told(error))
            }
            Err(error) if self.kubeconfig.is_none() && self.context.is_none() && is_missing(&error) => {
                Config::incluster().map_err(|_| self.told(error).context("no cluster, and no service account of a pod"))
            }
            Err(error) => Err(self.told(error)),
        }
    }

    /// Returns what is wrong with a kubeconfig, with its name.
    fn told(&self, error: KubeconfigError) -> anyhow::Error {
        match (error, &self.kubeconfig) {
            (KubeconfigError::ReadConfig(error, path), _) => {
                anyhow::Error::new(error).context(format!("the kubeconfig {} cannot be read", path.display()))
            }
            // The rest of what the parser says is a picture of the line.
            (KubeconfigError::Parse(error), path) => {
                let said = error.to_string();
                let first = said.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
                let of = path.as_ref().map_or_else(String::new, |path| format!(" {}", path.display()));
                anyhow::anyhow!("the kubeconfig{of} is no YAML: {first}")
            }
            (error, Some(path)) => anyhow::Error::new(error).context(format!("the kubeconfig {}", path.display())),
            (error, None) => anyhow::Error::new(error).context("the kubeconfig"),
        }
    }
}

/// Returns whether there is no kubeconfig in the places where it may be.
fn is_missing(error: &KubeconfigError) -> bool {
    match error {
        KubeconfigError::ReadConfig(error, _) => error.kind() == io::ErrorKind::NotFound,
        error => matches!(error, KubeconfigError::FindPath),
    }
}

/// Returns an API server's error as kubectl prints it; an API server that cannot be reached has exit code 69.
pub(crate) fn said(error: kube::Error) -> anyhow::Error {
    match error {
        kube::Error::Api(status) => anyhow::anyhow!("{}", status.message),
        // What is around the cause names parts of the HTTP client.
        kube::Error::Service(error) => unreachable(anyhow::anyhow!("{}", root(&*error))),
        kube::Error::HyperError(error) => unreachable(anyhow::anyhow!("{}", root(&error))),
        error => unreachable(error.into()),
    }
}

fn unreachable(error: anyhow::Error) -> anyhow::Error {
    let unreachable: anyhow::Result<()> = Err(error).context("the cluster cannot be reached").or_blame(Blame::Cluster);
    unreachable.unwrap_err()
}

fn root<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    successors(Some(error), |error| (*error).source()).last().unwrap_or(error)
}
