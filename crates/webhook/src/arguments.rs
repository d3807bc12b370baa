//! The command line. Values stay text here; [`crate::settings`] parses them and reports all faults together.

use axum::http::uri::Authority;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use settings::Span;

const EXAMPLES: &str = "\
Examples:
  In a cluster, as the chart runs it (with its own certificates):
    evenkeel-webhook run --namespace evenkeel --default jitter=20%

  On any machine, with a certificate from files and without a cluster:
    evenkeel-webhook run --listen 127.0.0.1:8443 --admin 127.0.0.1:8081 \\
      --tls files --tls-cert tls.crt --tls-key tls.key
    curl --cacert tls.crt https://127.0.0.1:8443/mutate --data @review.json

Every flag has an environment variable; the flag wins. Exit code 64 means that a setting is invalid.";

/// evenkeel's admission webhook: injects the recycling proxy into annotated workloads.
///
/// It answers the API server's admission reviews (POST /mutate over TLS) with JSON patches. Objects that it cannot read
/// or inject are admitted unchanged, with a warning that kubectl prints.
#[derive(Debug, Parser)]
#[command(name = "evenkeel-webhook", version, after_help = EXAMPLES)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Answer admission reviews until SIGTERM or SIGINT.
    #[command(after_help = EXAMPLES)]
    Run(Box<RunArguments>),
    /// Wait until a running webhook is ready: exit code 0, or 1 and the reason. `helm test` runs this.
    Check {
        /// Its admin port, such as evenkeel-webhook.evenkeel.svc:8081.
        #[arg(value_name = "HOST:PORT")]
        address: Authority,
        /// How long to wait.
        #[arg(long, value_name = "DURATION", default_value = "60s")]
        within: Span,
    },
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// The flags of `run`.
#[derive(Clone, Debug, Args)]
pub struct RunArguments {
    /// Address for reviews, over TLS. The default accepts IPv4 too; port 0 is any free port, which the log names.
    #[arg(long, value_name = "ADDRESS", env = "EVENKEEL_WEBHOOK_LISTEN", default_value = "[::]:8443")]
    pub listen: String,

    /// Address for /metrics, /livez and /readyz, in plain HTTP.
    #[arg(long, value_name = "ADDRESS", env = "EVENKEEL_WEBHOOK_ADMIN", default_value = "[::]:8081")]
    pub admin: String,

    /// Source of the certificate: 'self' issues its own and publishes the caBundle, 'files' reads one and writes
    /// nothing to a cluster.
    #[arg(long, value_name = "MODE", env = "EVENKEEL_WEBHOOK_TLS", default_value = "self")]
    pub tls: String,

    /// With --tls files: the certificate chain in PEM. It is reloaded every 30 s.
    #[arg(long, value_name = "FILE", env = "EVENKEEL_WEBHOOK_TLS_CERT")]
    pub tls_cert: Option<String>,

    /// With --tls files: its private key in PEM.
    #[arg(long, value_name = "FILE", env = "EVENKEEL_WEBHOOK_TLS_KEY")]
    pub tls_key: Option<String>,

    /// With --tls self: the Service that the API server calls; the certificate is for NAME.NAMESPACE.svc.
    #[arg(long, value_name = "NAME", env = "EVENKEEL_WEBHOOK_SERVICE_NAME", default_value = "evenkeel-webhook")]
    pub service_name: String,

    /// The namespace of the Service and the Secret, with --tls self, and of the balancer's ConfigMap.
    #[arg(long, value_name = "NAME", env = "EVENKEEL_WEBHOOK_NAMESPACE", default_value = "evenkeel")]
    pub namespace: String,

    /// With --tls self: the Secret for the certificate authority. It must exist; it may be empty.
    #[arg(long, value_name = "NAME", env = "EVENKEEL_WEBHOOK_SECRET_NAME", default_value = "evenkeel-webhook-ca")]
    pub secret_name: String,

    /// With --tls self: the mutating webhook configuration whose caBundle is published.
    #[arg(
        long,
        value_name = "NAME",
        env = "EVENKEEL_WEBHOOK_WEBHOOK_CONFIGURATION",
        default_value = "evenkeel-webhook"
    )]
    pub webhook_configuration: String,

    /// Read labels and annotations of namespaces from the API server: 'on' or 'off'. Without it, settings of namespaces
    /// have no effect. Default: on with --tls self, off with --tls files.
    #[arg(long, value_name = "SWITCH", env = "EVENKEEL_WEBHOOK_READ_NAMESPACES")]
    pub read_namespaces: Option<String>,

    /// Kinds of workload on which Events are published, such as Deployment,StatefulSet. Default: none.
    #[arg(long, value_name = "KIND", env = "EVENKEEL_WEBHOOK_EVENTS", value_delimiter = ',')]
    pub events: Vec<String>,

    /// With --events: the selector of the namespaces that reviews come from, as JSON: matchLabels, matchExpressions.
    /// Events are published on workloads in these namespaces alone.
    #[arg(long, value_name = "JSON", env = "EVENKEEL_WEBHOOK_NAMESPACE_SELECTOR", default_value = "{}")]
    pub namespace_selector: String,

    /// A default for workloads that do not set an annotation: its name without the prefix and a value, such as
    /// jitter=20%. May repeat; commas separate several.
    #[arg(long, value_name = "NAME=VALUE", env = "EVENKEEL_WEBHOOK_DEFAULT", value_delimiter = ',')]
    pub default: Vec<String>,

    /// The ConfigMap in --namespace in which the balancer publishes its public keys. Without it, workloads that ask for
    /// balancing get a proxy that follows max-requests alone, and a warning.
    #[arg(long, value_name = "NAME", env = "EVENKEEL_WEBHOOK_BALANCE_KEYS_CONFIG_MAP")]
    pub balance_keys_config_map: Option<String>,

    /// How long reviews are still answered after SIGTERM, while nodes remove this replica from their routes.
    #[arg(long, value_name = "DURATION", env = "EVENKEEL_WEBHOOK_SHUTDOWN_DELAY", default_value = "5s")]
    pub shutdown_delay: String,

    /// Level of the log on standard error: error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL", env = "EVENKEEL_WEBHOOK_LOG_LEVEL", default_value = "info")]
    pub log_level: String,
}

impl RunArguments {
    /// Returns the environment variable of a flag.
    pub fn env(flag: &str) -> String {
        format!("EVENKEEL_WEBHOOK_{}", flag.to_uppercase().replace('-', "_"))
    }
}

/// Parses flags of `run`.
#[cfg(test)]
pub(crate) fn parse_run(flags: &[&str]) -> RunArguments {
    let line = ["evenkeel-webhook", "run"].iter().chain(flags);
    match Arguments::try_parse_from(line).unwrap().command {
        Command::Run(arguments) => *arguments,
        Command::Check { .. } | Command::Completions { .. } => panic!("expected run"),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn flags_and_environment_names_agree() {
        let mut command = Arguments::command();
        command.build();
        let run = command.find_subcommand("run").unwrap();
        let own = |arg: &&clap::Arg| !["help", "version"].contains(&arg.get_id().as_str());
        for arg in run.get_arguments().filter(own) {
            let flag = arg.get_long().unwrap();
            assert_eq!(arg.get_env().and_then(|env| env.to_str()), Some(&*RunArguments::env(flag)), "{flag}");
            assert!(arg.get_help().is_some(), "{flag} has no help");
        }
    }
}
