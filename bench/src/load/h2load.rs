//! Closed-loop load in HTTP/2 by h2load: each stream is followed by another as soon as its response is complete.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::load::Completed;

/// Runs h2load with one thread against a loopback port. Fails if a request fails.
pub(crate) fn run(h2load: &Path, port: u16, connections: u16, streams: u16, seconds: u16) -> Result<Completed> {
    let mut command = Command::new(h2load);
    command.args(["-t1", &format!("-c{connections}"), &format!("-m{streams}"), &format!("-D{seconds}")]);
    let output = command.arg(format!("http://127.0.0.1:{port}/")).output().context("starting h2load")?;
    if !output.status.success() {
        bail!("h2load: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    parse(&String::from_utf8_lossy(&output.stdout))
}

fn parse(report: &str) -> Result<Completed> {
    let line = |start: &str| report.lines().find_map(|line| line.strip_prefix(start));
    let count = |what: &str| {
        let counts = line("requests: ")?.split(", ").find_map(|count| count.strip_suffix(what))?;
        counts.trim().parse::<u64>().ok()
    };
    let failed = [" failed", " errored", " timeout"].map(count);
    if failed.iter().any(|failed| *failed != Some(0)) {
        bail!("h2load saw failed requests: {report}");
    }
    let statuses =
        line("status codes: ").and_then(|codes| codes.split_once(" 2xx, ")?.1.strip_prefix("0 3xx, 0 4xx, 0 5xx"));
    let per_second =
        line("finished in ").and_then(|rest| rest.split(", ").nth(1)?.strip_suffix(" req/s")?.parse().ok());
    match (count(" succeeded"), per_second, statuses) {
        (Some(requests), Some(per_second), Some(_)) if requests > 0 => Ok(Completed { requests, per_second }),
        _ => bail!("h2load completed no request, or its report has another form: {report}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "starting benchmark...
finished in 2.00s, 84930.00 req/s, 13.45MB/s
requests: 169860 total, 170020 started, 169860 done, 169860 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 169875 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 26.90MB (28206752) total, 1.78MB (1868460) headers (space savings 90.00%), 20.74MB (21743232) data
";

    #[test]
    fn requests_and_rate_are_read_from_a_report() {
        assert_eq!(parse(GOOD).unwrap(), Completed { requests: 169_860, per_second: 84_930.0 });
    }

    #[test]
    fn a_report_with_failed_requests_is_an_error() {
        for (good, bad) in
            [("0 failed", "1 failed"), ("0 errored", "2 errored"), ("0 timeout", "1 timeout"), ("0 5xx", "3 5xx")]
        {
            assert!(parse(&GOOD.replace(good, bad)).is_err(), "{bad}");
        }
        assert!(parse("nothing").is_err());
    }
}
