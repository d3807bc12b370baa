//! The command line. Flags and environment names come from the tables of the `settings` crate.

use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use clap_complete::Shell;
use settings::{
    ControlSocket, Faults, LogLevel, OptionSpec, ProxyOption, ProxySettings, RawOptions, RedirectOption,
    RedirectSettings,
};

const ABOUT: &str = "Recycles client connections, so that load follows the pods that a Service has";

const AFTER_HELP: &str = "\
Without Kubernetes, in front of a server on port 8080:

    recycling-proxy run --listen 127.0.0.1:15210 --app 127.0.0.1:8080 --max-requests 1000

Exit status: 0 done; 1 it could not be done; 64 the settings cannot be used; 69 no proxy is running (drain, log-level, status).";

const RUN_HELP: &str = "\
Every flag can be given by its environment variable instead; a flag wins. SIGTERM and SIGINT end the process with its
last connection, or after the drain timeout; a second one ends it at once.";

const DRAIN_HELP: &str = "\
From now on every response of the running proxy announces the end of its connection. The command returns when no
connection is left and no client has connected for 5 seconds, after the proxy's --drain-timeout at the latest. It is
what the injected preStop hook runs. To drain again is to wait for the same drain.";

const STATUS_HELP: &str = "\
It shows the proxy's metrics as people read them, since the proxy was started: no right is needed but that to exec. In a pod:

    kubectl exec POD --container recycling-proxy -- /recycling-proxy status";

const LOG_LEVEL_HELP: &str = "\
It holds until the next change, or until the proxy is started again with its --log-level. In a pod:

    kubectl exec POD --container recycling-proxy -- /recycling-proxy log-level debug";

const REDIRECT_HELP: &str = "\
Programs nf_tables in the network namespace it runs in: new TCP connections to the given ports, unless they come over
loopback, go to the proxy's port; IPv4 and IPv6. Run again it replaces what it did. Needs CAP_NET_ADMIN. It is what the
injected init container runs.";

/// The options of `drain` and `status`: the control socket, and those by which `hostNetwork` is detected.
const CONTROL_OPTIONS: &[ProxyOption] =
    &[ProxyOption::App, ProxyOption::Control, ProxyOption::PodIp, ProxyOption::HostIp];

/// The parsed command line.
#[derive(Debug)]
pub enum Request {
    /// `run`
    Run(Box<ProxySettings>),
    /// `drain`
    Drain(Box<ProxySettings>),
    /// `status`
    Status(Box<ProxySettings>),
    /// `log-level`
    LogLevel(LogLevel, ControlSocket),
    /// `redirect`
    Redirect(RedirectSettings),
    /// `completion`
    Completion(Shell),
}

/// Why the command line cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// Its syntax is invalid, or it requests help or the version.
    #[error(transparent)]
    Words(#[from] clap::Error),
    /// Its values are invalid.
    #[error(transparent)]
    Values(#[from] Faults),
}

/// Parses a command line, and environment variables for options that it does not have.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Request, Unusable> {
    let matches = command().try_get_matches_from(words)?;
    match matches.subcommand() {
        Some(("run", matches)) => Ok(Request::Run(Box::new(ProxySettings::from_raw(&raw(matches))?))),
        Some(("drain", matches)) => {
            Ok(Request::Drain(Box::new(ProxySettings::from_raw(&raw_of(matches, CONTROL_OPTIONS))?)))
        }
        Some(("status", matches)) => {
            Ok(Request::Status(Box::new(ProxySettings::from_raw(&raw_of(matches, CONTROL_OPTIONS))?)))
        }
        Some(("log-level", matches)) => {
            let level = matches.get_one("level").copied().unwrap_or(LogLevel::Info);
            Ok(Request::LogLevel(level, control(matches)?))
        }
        Some(("redirect", matches)) => Ok(Request::Redirect(RedirectSettings::from_raw(&raw(matches))?)),
        Some(("completion", matches)) => {
            Ok(Request::Completion(matches.get_one("shell").copied().unwrap_or(Shell::Bash)))
        }
        Some(_) | None => {
            Err(Unusable::Words(command().error(clap::error::ErrorKind::MissingSubcommand, "no command")))
        }
    }
}

fn control(matches: &ArgMatches) -> Result<ControlSocket, Faults> {
    Ok(ProxySettings::from_raw(&raw_of(matches, &[ProxyOption::Control]))?.control)
}

/// Returns the whole command, for parsing, help and completions.
pub fn command() -> Command {
    Command::new("recycling-proxy")
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .after_help(AFTER_HELP)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(Command::new("run").about("Run the proxy").after_help(RUN_HELP).args(args(ProxyOption::ALL)))
        .subcommand(
            Command::new("drain")
                .about("Drain the running proxy, and wait until it is done")
                .after_help(DRAIN_HELP)
                .args(args(CONTROL_OPTIONS)),
        )
        .subcommand(
            Command::new("status")
                .about("Show what the running proxy does: connections, limits, balancing, faults")
                .after_help(STATUS_HELP)
                .args(args(CONTROL_OPTIONS)),
        )
        .subcommand(
            Command::new("log-level")
                .about("Change the log level of the running proxy")
                .after_help(LOG_LEVEL_HELP)
                .arg(
                    Arg::new("level")
                        .required(true)
                        .value_name("LEVEL")
                        .value_parser(|text: &str| text.parse::<LogLevel>())
                        .help("error, warn, info, debug or trace"),
                )
                .args(args(&[ProxyOption::Control])),
        )
        .subcommand(
            Command::new("redirect")
                .about("Redirect the pod's inbound connections to the proxy")
                .after_help(REDIRECT_HELP)
                .args(args(RedirectOption::ALL)),
        )
        .subcommand(
            Command::new("completion")
                .alias("completions")
                .about("Print a completion script for a shell")
                .arg(Arg::new("shell").required(true).value_parser(value_parser!(Shell))),
        )
}

fn args<O: OptionSpec>(options: &[O]) -> Vec<Arg> {
    options.iter().map(|option| arg(*option)).collect()
}

/// Returns a flag. Its value stays text, so that the faults of all values are reported together; clap only shows the
/// default.
fn arg<O: OptionSpec>(option: O) -> Arg {
    let help = match option.default() {
        Some(default) => format!("{} [default: {default}]", option.help()),
        None => option.help().to_owned(),
    };
    Arg::new(option.flag())
        .long(option.flag())
        .env(option.env())
        .value_name(option.value_name())
        .value_parser(value_parser!(String))
        .action(if option.is_list() { ArgAction::Append } else { ArgAction::Set })
        .help(help)
}

fn raw<O: OptionSpec>(matches: &ArgMatches) -> RawOptions<O> {
    raw_of(matches, O::ALL)
}

fn raw_of<O: OptionSpec>(matches: &ArgMatches, options: &[O]) -> RawOptions<O> {
    let mut raw = RawOptions::default();
    for option in options {
        let values: Vec<String> = matches.get_many::<String>(option.flag()).into_iter().flatten().cloned().collect();
        match matches.value_source(option.flag()) {
            // A variable that a pod template leaves blank counts as absent.
            Some(ValueSource::EnvVariable) if values.iter().all(String::is_empty) => {}
            Some(ValueSource::EnvVariable) => raw.give(*option, option.env(), values),
            Some(_) => raw.give(*option, format!("--{}", option.flag()), values),
            None => {}
        }
    }
    raw
}
