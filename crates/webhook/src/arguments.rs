//! The command line. Values stay text here; [`crate::settings`] parses them, all at once.

use axum::http::uri::Authority;
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use settings::Span;

const EXAMPLES: &str = "\
Examples:
  In a cluster, as the chart runs it (certificates of its own):
    evenkeel-webhook run --namespace evenkeel --default jitter=20%

  On any machine, with a certificate in files and no cluster:
    evenkeel-webhook run --listen 127.0.0.1:8443 --admin 127.0.0.1:8081 \\
      --tls files --tls-cert tls.crt --tls-key tls.key
    curl --cacert tls.crt https://127.0.0.1:8443/mutate --data @review.json

Every flag has an environment variable; the flag wins. Exit code 64 means that a setting is unusable.";

/// evenkeel's admission webhook: injects the recycling proxy into annotated workloads.
///
/// It answers the API server's admission reviews (POST /mutate over TLS) with JSON patches. What it cannot read or
/// inject is admitted unchanged, with a warning that kubectl prints.
#[derive(Debug, Parser)]
#[command(name = "evenkeel-webhook", version, after_help = EXAMPLES)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Answer admission reviews until told to end (SIGTERM or SIGINT).
    #[command(after_help = EXAMPLES)]
    Run(Box<RunArguments>),
    /// Ask a running webhook whether it is ready, until it is: exit code 0, or 1 and the reason. `helm test` does it.
    Check {
        /// Its admin port, such as evenkeel-webhook.evenkeel.svc:8081.
        #[arg(value_name = "HOST:PORT")]
        address: Authority,
        /// How long to go on asking.
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
    /// Where reviews are answered, over TLS. The default takes IPv4 too; port 0 is any free one, which the log names.
    #[arg(long, value_name = "ADDRESS", env = "EVENKEEL_WEBHOOK_LISTEN", default_value = "[::]:8443")]
    pub listen: String,

    /// Where /metrics, /livez and /readyz are shown, in plain HTTP.
    #[arg(long, value_name = "ADDRESS", env = "EVENKEEL_WEBHOOK_ADMIN", default_value = "[::]:8081")]
    pub admin: String,

    /// Whose certificate is served: 'self' makes its own and tells the API server, 'files' takes one and touches no
    /// cluster.
    #[arg(long, value_name = "MODE", env = "EVENKEEL_WEBHOOK_TLS", default_value = "self")]
    pub tls: String,

    /// With --tls files: the certificate chain in PEM. Read again every 30 s.
    #[arg(long, value_name = "FILE", env = "EVENKEEL_WEBHOOK_TLS_CERT")]
    pub tls_cert: Option<String>,

    /// With --tls files: its private key in PEM.
    #[arg(long, value_name = "FILE", env = "EVENKEEL_WEBHOOK_TLS_KEY")]
    pub tls_key: Option<String>,

    /// With --tls self: the Service by which the API server calls; the certificate is for NAME.NAMESPACE.svc.
    #[arg(long, value_name = "NAME", env = "EVENKEEL_WEBHOOK_SERVICE_NAME", default_value = "evenkeel-webhook")]
    pub service_name: String,

    /// The namespace of the Service and the Secret, with --tls self, and of the balancer's ConfigMap.
    #[arg(long, value_name = "NAME", env = "EVENKEEL_WEBHOOK_NAMESPACE", default_value = "evenkeel")]
    pub namespace: String,

    /// With --tls self: the Secret that keeps the certificate authority. It must exist; it may be empty.
    #[arg(long, value_name = "NAME", env = "EVENKEEL_WEBHOOK_SECRET_NAME", default_value = "evenkeel-webhook-ca")]
    pub secret_name: String,

    /// With --tls self: the mutating webhook configuration whose caBundle is kept right.
    #[arg(
        long,
        value_name = "NAME",
        env = "EVENKEEL_WEBHOOK_WEBHOOK_CONFIGURATION",
        default_value = "evenkeel-webhook"
    )]
    pub webhook_configuration: String,

    /// Whether labels and annotations of namespaces are asked of the API server: 'on' or 'off'. Without them nothing is
    /// known of namespaces. Left out: on with --tls self, off with --tls files.
    #[arg(long, value_name = "SWITCH", env = "EVENKEEL_WEBHOOK_READ_NAMESPACES")]
    pub read_namespaces: Option<String>,

    /// Kinds of workload on which Events tell what became of them, such as Deployment,StatefulSet. Left out: none.
    #[arg(long, value_name = "KIND", env = "EVENKEEL_WEBHOOK_EVENTS", value_delimiter = ',')]
    pub events: Vec<String>,

    /// With --events: the labels of namespaces that reviews come from, as JSON: matchLabels, matchExpressions. Events are about
    /// workloads in these alone.
    #[arg(long, value_name = "JSON", env = "EVENKEEL_WEBHOOK_NAMESPACE_SELECTOR", default_value = "{}")]
    pub namespace_selector: String,

    /// What holds for workloads that say nothing else: an annotation without its prefix, such as jitter=20%. May
    /// repeat; commas separate several.
    #[arg(long, value_name = "NAME=VALUE", env = "EVENKEEL_WEBHOOK_DEFAULT", value_delimiter = ',')]
    pub default: Vec<String>,

    /// The ConfigMap in --namespace in which the balancer publishes its public keys. Left out, or while it is not there: workloads that ask
    /// for balancing get a proxy that follows max-requests alone, and a warning.
    #[arg(long, value_name = "NAME", env = "EVENKEEL_WEBHOOK_BALANCE_KEYS_CONFIG_MAP")]
    pub balance_keys_config_map: Option<String>,

    /// How long reviews are still answered after SIGTERM, while nodes learn that this replica is leaving.
    #[arg(long, value_name = "DURATION", env = "EVENKEEL_WEBHOOK_SHUTDOWN_DELAY", default_value = "5s")]
    pub shutdown_delay: String,

    /// What is logged to standard error: error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL", env = "EVENKEEL_WEBHOOK_LOG_LEVEL", default_value = "info")]
    pub log_level: String,
}

impl RunArguments {
    /// The environment variable of a flag.
    pub fn env(flag: &str) -> String {
        format!("EVENKEEL_WEBHOOK_{}", flag.to_uppercase().replace('-', "_"))
    }
}

impl Arguments {
    /// Writes completions for `shell`.
    pub fn completions(shell: Shell, to: &mut dyn std::io::Write) {
        clap_complete::generate(shell, &mut Self::command(), "evenkeel-webhook", to);
    }
}

/// What the flags of `run` parse to.
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
            assert!(arg.get_help().is_some(), "{flag} teaches nothing");
        }
    }
}
