//! The program as kubectl's users meet it: kubeconfigs, and what kubectl asks to complete a line.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

const PROGRAM: &str = env!("CARGO_BIN_EXE_evenkeel");

/// Arguments, variables, and a part of what is said.
type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a Path)], &'a str);

/// Runs a command that needs a cluster, where no kubeconfig is but the one that is named.
fn status(folder: &Path, arguments: &[&str], variables: &[(&str, &Path)]) -> Output {
    let mut program = Command::new(PROGRAM);
    program.arg("status").args(arguments).env_remove("KUBECONFIG").env("HOME", folder);
    program.env_remove("KUBERNETES_SERVICE_HOST").envs(variables.iter().copied()).output().unwrap()
}

#[test]
fn a_faulty_kubeconfig_is_reported_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let missing = folder.path().join("missing");
    let odd = file("odd", "a: [");
    let empty = file("empty", "apiVersion: v1\nkind: Config\n");
    let no_certificate = file(
        "no-certificate",
        "apiVersion: v1
kind: Config
clusters: [{name: x, cluster: {server: \"https://127.0.0.1:1\", certificate-authority: /nowhere.pem}}]
users: [{name: x, user: {}}]
contexts: [{name: x, context: {cluster: x, user: x}}]
current-context: x
",
    );
    let cases: [Case<'_>; 7] = [
        (&[], &[], "no cluster, and no service account of a pod"),
        (&[], &[("KUBECONFIG", &missing)], "missing"),
        (&["--kubeconfig", &missing.display().to_string()], &[], "missing cannot be read: No such file"),
        (&["--kubeconfig", &odd.display().to_string()], &[], "odd"),
        (&["--kubeconfig", &empty.display().to_string()], &[], "empty has no current context (contexts: none)"),
        (&["--kubeconfig", &no_certificate.display().to_string()], &[], "/nowhere.pem"),
        (
            &["--kubeconfig", &no_certificate.display().to_string(), "--context", "y"],
            &[],
            "no-certificate has no context y (contexts: x)",
        ),
    ];
    for (arguments, variables, expected) in cases {
        let output = status(folder.path(), arguments, variables);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {said}");
        let first = said.lines().next().unwrap_or_default();
        assert!(first.starts_with("error: ") && said.contains(expected), "{arguments:?}: {said}");
        let parts: Vec<&str> = first.split(": ").collect();
        let distinct: BTreeSet<&&str> = parts.iter().collect();
        assert_eq!(parts.len(), distinct.len(), "{said}");
        assert!(said.matches(&folder.path().display().to_string()).count() <= 1, "{said}");
    }
}

/// Asks as kubectl does: the words behind `kubectl evenkeel`, the last of which is being typed.
fn complete(words: &[&str]) -> (Vec<String>, String) {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("kubectl_complete-evenkeel");
    symlink(PROGRAM, &link).unwrap();
    fs::write(folder.path().join("web.yaml"), "").unwrap();
    fs::create_dir(folder.path().join("manifests")).unwrap();
    let output = Command::new(link).args(words).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let directive = lines.pop().unwrap();
    (lines, directive)
}

#[test]
fn kubectl_completes_commands_flags_and_values() {
    let (commands, directive) = complete(&["st"]);
    assert_eq!(directive, ":4");
    let (command, help) = commands[0].split_once('\t').unwrap();
    assert!(commands.len() == 1 && command == "status" && help.starts_with("Show the load"), "{commands:?}");
    let (all, _) = complete(&[""]);
    assert!(
        ["check\t", "status\t", "dashboard\t"].iter().all(|it| all.iter().any(|line| line.starts_with(it))),
        "{all:?}"
    );
    let (flags, _) = complete(&["status", "--wat"]);
    assert!(flags.len() == 1 && flags[0].starts_with("--watch\t"), "{flags:?}");
    let (values, _) = complete(&["status", "--output", "y"]);
    assert!(values.len() == 1 && values[0].starts_with("yaml"), "{values:?}");
}

#[test]
fn kubectl_completes_file_names_for_file_arguments() {
    let (files, directive) = complete(&["check", "--kubeconfig", ""]);
    let words: Vec<&str> = files.iter().filter_map(|line| line.split('\t').next()).collect();
    assert!(words.contains(&"web.yaml") && words.contains(&"manifests/"), "{files:?}");
    assert_eq!(directive, ":6", "no space behind a folder");
    let (none, directive) = complete(&["no-such-command", ""]);
    assert_eq!(directive, ":4", "{none:?}");
}
