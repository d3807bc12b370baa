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
    /// Returns a client of a cluster that answers, and the namespace of the context.
    ///
    /// # Errors
    /// No kubeconfig, or none that can be used (exit code 64); the cluster cannot be reached (69).
    pub(crate) async fn connect(&self) -> anyhow::Result<(Client, String)> {
        let config = self.config().await.or_blame(Blame::Usage)?;
        let (server, namespace) = (config.cluster_url.to_string(), config.default_namespace.clone());
        let client = Client::try_from(config).context("kubeconfig").or_blame(Blame::Usage)?;
        // Later errors do not know the server. One that refuses to tell its version is there.
        match client.apiserver_version().await {
            Err(kube::Error::Api(status)) if status.code == 401 => {
                let said = format!("{server} does not accept the credentials of the kubeconfig: {}", status.message);
                Err(anyhow::anyhow!(said)).or_blame(Blame::Usage)
            }
            Ok(_) | Err(kube::Error::Api(_)) => Ok((client, namespace)),
            Err(error) => Err(said_of(&format!(" {server}"), error)),
        }
    }

    async fn config(&self) -> anyhow::Result<Config> {
        let read = match &self.kubeconfig {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        };
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        match read {
            Ok(kubeconfig) => {
                let contexts: Vec<String> = kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
                let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
                config.map_err(|error| self.without_context(&error, &contexts).unwrap_or_else(|| self.told(error)))
            }
            Err(error) if self.kubeconfig.is_none() && self.context.is_none() && is_missing(&error) => {
                Config::incluster().map_err(|_| self.told(error).context("no cluster, and no service account of a pod"))
            }
            Err(error) => Err(self.told(error)),
        }
    }

    /// Returns that there is no such context, with those that there are; `None` if something else is wrong.
    fn without_context(&self, error: &KubeconfigError, contexts: &[String]) -> Option<anyhow::Error> {
        let lacks = match error {
            KubeconfigError::CurrentContextNotSet => "has no current context".to_owned(),
            KubeconfigError::LoadContext(name) => format!("has no context {name}"),
            _ => return None,
        };
        let of = self.kubeconfig.as_ref().map_or_else(String::new, |path| format!(" {}", path.display()));
        let there = if contexts.is_empty() { "none".to_owned() } else { contexts.join(", ") };
        Some(anyhow::anyhow!("the kubeconfig{of} {lacks} (contexts: {there})"))
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
    said_of("", error)
}

fn said_of(server: &str, error: kube::Error) -> anyhow::Error {
    let cause = match error {
        kube::Error::Api(status) => return anyhow::anyhow!("{}", status.message),
        // What is around the cause names parts of the HTTP client.
        kube::Error::Service(error) => anyhow::anyhow!("{}", root(&*error)),
        kube::Error::HyperError(error) => anyhow::anyhow!("{}", root(&error)),
        error => error.into(),
    };
    let said = format!("the cluster{server} cannot be reached");
    let unreachable: anyhow::Result<()> = Err(cause).context(said).or_blame(Blame::Cluster);
    unreachable.unwrap_err()
}

fn root<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    successors(Some(error), |error| (*error).source()).last().unwrap_or(error)
}
