//! The command line. Values stay text here; [`crate::settings`] parses them, all at once.

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

const EXAMPLES: &str = "\
Examples:
  In a cluster, as the chart runs it:
    evenkeel-balancer run --namespace evenkeel

  On any machine whose kubeconfig reaches a cluster and whose network reaches its pods:
    evenkeel-balancer run --admin 127.0.0.1:8081
    curl http://127.0.0.1:8081/workloads

  A second key, which signs once every pod knows it:
    kubectl --namespace evenkeel exec deploy/evenkeel-balancer -- /evenkeel-balancer rotate

Every flag has an environment variable; the flag wins. Exit code 64 means that a setting is unusable.";

/// evenkeel's balancer: levels load over the pods of workloads that ask for it (annotation evenkeel.dev/balance: on).
///
/// It reads the load of each pod from its proxy, and sends the pods of a workload their mean in a signed instruction. A
/// pod above the mean retires as many connections as its excess is worth. One of several replicas leads.
#[derive(Debug, Parser)]
#[command(name = "evenkeel-balancer", version, after_help = EXAMPLES)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Balance until SIGTERM or SIGINT.
    #[command(after_help = EXAMPLES)]
    Run(Box<RunArguments>),
    /// Make a second key pair, and print its public key. It signs once every pod that reports knows it, which takes a
    /// rollout of each balanced workload.
    Rotate(KeyArguments),
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// The flags of `run`.
#[derive(Clone, Debug, Args)]
pub struct RunArguments {
    /// Address for /metrics, /livez, /readyz, /workloads and the page, in plain HTTP. The default accepts IPv4 too;
    /// port 0 is any free port, which the log names.
    #[arg(long, value_name = "ADDRESS", env = "EVENKEEL_BALANCER_ADMIN", default_value = "[::]:8081")]
    pub admin: String,

    /// Where the keys are kept.
    #[command(flatten)]
    pub keys: KeyArguments,

    /// The Lease of the leader, in the same namespace.
    #[arg(long, value_name = "NAME", env = "EVENKEEL_BALANCER_LEASE_NAME", default_value = "evenkeel-balancer")]
    pub lease_name: String,

    /// The name of this replica in the Lease. The default is the name of the pod.
    #[arg(long, value_name = "NAME", env = "EVENKEEL_BALANCER_IDENTITY")]
    pub identity: Option<String>,

    /// The admin port of the proxies.
    #[arg(long, value_name = "PORT", env = "EVENKEEL_BALANCER_PROXY_PORT", default_value = "15211")]
    pub proxy_port: String,

    /// Level of the log on standard error: error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL", env = "EVENKEEL_BALANCER_LOG_LEVEL", default_value = "info")]
    pub log_level: String,
}

/// The flags that name the objects of the keys.
#[derive(Clone, Debug, Args)]
pub struct KeyArguments {
    /// The namespace of the Secret, the ConfigMap and the Lease.
    #[arg(long, value_name = "NAME", env = "EVENKEEL_BALANCER_NAMESPACE", default_value = "evenkeel")]
    pub namespace: String,

    /// The Secret that keeps the private key. The first replica fills it.
    #[arg(long, value_name = "NAME", env = "EVENKEEL_BALANCER_SECRET_NAME", default_value = "evenkeel-balancer-key")]
    pub secret_name: String,

    /// The ConfigMap with the public keys, which the webhook injects into pods.
    #[arg(
        long,
        value_name = "NAME",
        env = "EVENKEEL_BALANCER_CONFIG_MAP_NAME",
        default_value = "evenkeel-balancer-keys"
    )]
    pub config_map_name: String,
}

impl RunArguments {
    /// Returns the environment variable of a flag.
    pub fn env(flag: &str) -> String {
        format!("EVENKEEL_BALANCER_{}", flag.to_uppercase().replace('-', "_"))
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
        for name in ["run", "rotate"] {
            let command = command.find_subcommand(name).unwrap();
            let own = |arg: &&clap::Arg| !["help", "version"].contains(&arg.get_id().as_str());
            for arg in command.get_arguments().filter(own) {
                let flag = arg.get_long().unwrap();
                assert_eq!(arg.get_env().and_then(|env| env.to_str()), Some(&*RunArguments::env(flag)), "{flag}");
                assert!(arg.get_help().is_some(), "{flag} has no help");
            }
        }
    }
}
