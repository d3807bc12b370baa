//! The command line: help with examples, all errors at once, and variables that equal flags.

use std::process::Command;

use settings::{EXIT_USAGE, OptionSpec as _, ProxyOption, RedirectOption};
use test_support::{Failure, Process, TestResult, ensure, ensure_eq};

use crate::stage::BINARY;

/// Runs the binary to its end; returns its exit code and all that it printed.
async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> TestResult<(Option<i32>, String)> {
    let mut command = Command::new(BINARY);
    command.args(arguments).env_clear().envs(environment.iter().copied());
    let (status, output) = Process::spawn("recycling-proxy", command)?.repeating_its_output().end().await?;
    Ok((status.code(), output))
}

/// Checks that the line of `output` about `key` names the value that was found and what was expected.
fn names_fault(output: &str, key: &str, value: &str) -> TestResult {
    let line = output.lines().find(|line| line.contains(key));
    let line = line.ok_or_else(|| Failure::new(format!("{key} is not named in:\n{output}")))?;
    ensure!(line.contains(value) && line.contains("expected"), "{line}");
    Ok(())
}

#[tokio::test]
async fn all_unusable_flags_are_reported_at_once() -> TestResult {
    let bad = [
        ("--listen", "8080"),
        ("--max-requests", "0"),
        ("--jitter", "60%"),
        ("--max-age", "soon"),
        ("--opaque-ports", "http"),
        ("--admin", "nowhere"),
        ("--control", "relative"),
        ("--threads", "many"),
        ("--max-connections", "-1"),
        ("--head-limit", "1"),
        ("--drain-timeout", "20"),
        ("--log-level", "loud"),
    ];
    let arguments: Vec<String> = bad.iter().map(|(flag, value)| format!("{flag}={value}")).collect();
    let arguments: Vec<&str> = ["run"].into_iter().chain(arguments.iter().map(String::as_str)).collect();
    let (code, output) = run(&arguments, &[]).await?;
    ensure_eq!(code, Some(i32::from(EXIT_USAGE)));
    for (flag, value) in bad {
        names_fault(&output, flag, value)?;
    }
    Ok(())
}

#[tokio::test]
async fn unusable_variables_are_reported_by_name() -> TestResult {
    let bad = [("EVENKEEL_MAX_REQUESTS", "many"), ("EVENKEEL_JITTER", "10"), ("EVENKEEL_APP", "localhost")];
    let (code, output) = run(&["run"], &bad).await?;
    ensure_eq!(code, Some(i32::from(EXIT_USAGE)));
    for (variable, value) in bad {
        names_fault(&output, variable, value)?;
    }
    Ok(())
}

#[tokio::test]
async fn unusable_flags_of_redirect_are_reported() -> TestResult {
    let (code, output) = run(&["redirect", "--ports", "http", "--to", "0"], &[]).await?;
    ensure_eq!(code, Some(i32::from(EXIT_USAGE)));
    names_fault(&output, "--ports", "http")?;
    names_fault(&output, "--to", "0")?;
    Ok(())
}

#[tokio::test]
async fn unknown_flags_and_commands_are_usage_errors() -> TestResult {
    for arguments in [&["run", "--max-request", "5"][..], &["walk"], &["run", "5"], &[]] {
        let (code, output) = run(arguments, &[]).await?;
        ensure_eq!(code, Some(i32::from(EXIT_USAGE)), "{arguments:?}: {output}");
        ensure!(!output.is_empty());
    }
    Ok(())
}

#[tokio::test]
async fn help_has_every_option_its_variable_and_its_default() -> TestResult {
    let (code, output) = run(&["run", "--help"], &[]).await?;
    ensure_eq!(code, Some(0));
    for option in ProxyOption::ALL {
        let (flag, variable) = (format!("--{} <{}>", option.flag(), option.value_name()), option.env());
        ensure!(output.contains(&flag) && output.contains(variable), "{flag} {variable}:\n{output}");
        if let Some(default) = option.default() {
            ensure!(output.contains(&format!("default: {default}")), "{flag}: default {default}:\n{output}");
        }
    }
    let (code, output) = run(&["redirect", "--help"], &[]).await?;
    ensure_eq!(code, Some(0));
    for option in RedirectOption::ALL {
        ensure!(output.contains(&format!("--{}", option.flag())) && output.contains(option.env()), "{output}");
    }
    let (code, output) = run(&["--help"], &[]).await?;
    ensure_eq!(code, Some(0));
    for command in ["run", "drain", "status", "log-level", "redirect", "completion"] {
        ensure!(output.lines().any(|line| line.trim_start().starts_with(command)), "{command}:\n{output}");
    }
    Ok(())
}

#[tokio::test]
async fn version_prints_the_version() -> TestResult {
    let (code, output) = run(&["--version"], &[]).await?;
    ensure_eq!(code, Some(0));
    ensure_eq!(output.trim(), format!("recycling-proxy {}", env!("CARGO_PKG_VERSION")));
    Ok(())
}

#[tokio::test]
async fn completion_prints_a_script_for_each_shell() -> TestResult {
    for shell in ["bash", "zsh", "fish"] {
        let (code, output) = run(&["completion", shell], &[]).await?;
        ensure_eq!(code, Some(0));
        ensure!(output.contains("recycling-proxy") && output.contains("max-requests"), "{shell}");
    }
    Ok(())
}

#[tokio::test]
async fn drain_without_a_running_proxy_fails_with_the_socket() -> TestResult {
    for socket in ["@evenkeel-test-nobody", "/nonexistent/proxy.sock"] {
        let (code, output) = run(&["drain", "--control", socket], &[]).await?;
        ensure!(code.is_some_and(|code| code != 0), "{code:?}");
        ensure!(output.contains(socket), "{output}");
    }
    Ok(())
}

#[tokio::test]
async fn an_address_in_use_is_reported() -> TestResult {
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    for flag in ["--listen", "--admin"] {
        let other = if flag == "--listen" { "--admin" } else { "--listen" };
        let arguments =
            ["run", flag, &address, other, "127.0.0.1:0", "--app", "127.0.0.1:9", "--control", "@evenkeel-test-taken"];
        let (code, output) = run(&arguments, &[]).await?;
        ensure!(code.is_some_and(|code| code != 0), "{code:?}");
        ensure!(output.contains(&address), "{output}");
    }
    Ok(())
}
