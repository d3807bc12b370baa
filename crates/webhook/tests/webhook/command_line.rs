//! The program's command line.

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, Resource, getrlimit, prlimit};

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_evenkeel-webhook"))
}

fn ended(arguments: &[&str]) -> (Output, String) {
    let output = program().args(arguments).output().unwrap();
    let errors = String::from_utf8(output.stderr.clone()).unwrap();
    (output, errors)
}

#[test]
fn unusable_settings_are_all_reported_and_exit_with_64() {
    let arguments = ["run", "--listen=x", "--tls=files", "--default=jitter=99%", "--default=nothing=1"];
    let output = program().args(arguments).env("EVENKEEL_WEBHOOK_LOG_LEVEL", "loud").output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{errors}");
    let keys: Vec<&str> = errors.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(keys, ["--listen", "--tls-cert", "--tls-key", "--default", "--default", "--log-level"], "{errors}");
    assert!(output.stdout.is_empty());
}

#[test]
fn an_unknown_flag_exits_with_64() {
    let (output, errors) = ended(&["run", "--listn=x"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(errors.contains("--listen"), "the nearest flag is named: {errors}");
}

#[test]
fn unusable_certificate_files_are_reported() {
    let (output, errors) = ended(&["run", "--tls=files", "--tls-cert=/nowhere/tls.crt", "--tls-key=/nowhere/tls.key"]);
    assert_eq!(output.status.code(), Some(64), "{errors}");
    assert_eq!(errors, "evenkeel-webhook: cannot read /nowhere/tls.crt: No such file or directory (os error 2)\n");
}

#[test]
fn an_unknown_cluster_is_reported_once() {
    let nowhere = ["run", "--listen=127.0.0.1:0", "--admin=127.0.0.1:0"];
    let output = program().args(nowhere).env("KUBECONFIG", "/nowhere/config").output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert_eq!(errors.matches("/nowhere/config").count(), 1, "{errors}");
    assert_eq!(errors.matches("cannot find the API server").count(), 1, "{errors}");
}

#[test]
fn help_names_flags_variables_and_exit_codes() {
    let (output, _) = ended(&["run", "--help"]);
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).unwrap();
    for word in ["--tls", "EVENKEEL_WEBHOOK_LISTEN", "Examples:", "64"] {
        assert!(help.contains(word), "{word} is not in {help}");
    }
    let (output, _) = ended(&["--version"]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("evenkeel-webhook {}\n", env!("CARGO_PKG_VERSION")));
    let (output, _) = ended(&["completions", "bash"]);
    assert!(String::from_utf8(output.stdout).unwrap().contains("--webhook-configuration"));
}

#[test]
fn the_webhook_logs_its_addresses_and_exits_on_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    crate::running::certificate(folder.path());
    let path = |name| folder.path().join(name).into_os_string();
    // Many systems start processes with a low soft limit, if not this low.
    let with_few_descriptors = ["-c", r#"ulimit -S -n 256 && exec "$0" "$@""#, env!("CARGO_BIN_EXE_evenkeel-webhook")];
    let mut child = Command::new("sh")
        .args(with_few_descriptors)
        .args(["run", "--listen=127.0.0.1:0", "--admin=127.0.0.1:0", "--tls=files", "--shutdown-delay=1ms"])
        .env("EVENKEEL_WEBHOOK_TLS_CERT", path("tls.crt"))
        .env("EVENKEEL_WEBHOOK_TLS_KEY", path("tls.key"))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let addresses = ["reviews", "admin"].map(|endpoint| {
        let line = log.next().unwrap();
        assert!(line.contains("listening") && line.contains(endpoint), "{line}");
        let (_, address) = line.split_once("address=").unwrap();
        let port: u16 = address.rsplit(':').next().unwrap().parse().unwrap();
        assert_ne!(port, 0);
        address.to_owned()
    });
    let (output, errors) = ended(&["check", &addresses[1]]);
    assert!(output.status.success(), "{errors}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{} is ready\n", addresses[1]));
    assert_eq!(
        soft_limit_of_descriptors(child.id()),
        getrlimit(Resource::Nofile).maximum,
        "the soft limit is raised to the hard limit"
    );
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert!(child.wait().unwrap().success());
}

fn soft_limit_of_descriptors(process: u32) -> Option<u64> {
    let pid = Pid::from_raw(process.try_into().unwrap());
    // prlimit reads the old limit only while it sets one.
    prlimit(pid, Resource::Nofile, getrlimit(Resource::Nofile)).unwrap().current
}

#[test]
fn check_reports_why_it_is_not_ready() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    drop(taken);
    let (output, errors) = ended(&["check", &address, "--within=1ms"]);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains(&address), "{errors}");
    let (output, errors) = ended(&["check", "no address", "--within=soon"]);
    assert_eq!(output.status.code(), Some(64), "{errors}");
}
