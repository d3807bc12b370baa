//! Closed-loop load by wrk: each connection sends its next request as soon as the response is complete.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::load::Completed;

/// The request that every connection repeats.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Request {
    /// GET of a path.
    Get(&'static str),
    /// POST with a body of this many bytes.
    Post(usize),
}

/// Runs wrk with one thread against a loopback port. Fails if wrk counts an error.
pub(crate) fn run(
    wrk: &Path,
    port: u16,
    request: Request,
    connections: u16,
    seconds: u16,
    dir: &Path,
) -> Result<Completed> {
    let mut command = Command::new(wrk);
    command.args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s"), "--timeout", "10s"]);
    let path = match request {
        Request::Get(path) => path,
        Request::Post(bytes) => {
            let script = dir.join(format!("post-{bytes}.lua"));
            fs::write(&script, format!("wrk.method = 'POST'\nwrk.body = string.rep('x', {bytes})\n"))?;
            command.arg("-s").arg(script);
            "/"
        }
    };
    let output = command.arg(format!("http://127.0.0.1:{port}{path}")).output().context("starting wrk")?;
    if !output.status.success() {
        bail!("wrk: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    parse(&String::from_utf8_lossy(&output.stdout))
}

fn parse(report: &str) -> Result<Completed> {
    let trouble = |line: &&str| line.starts_with("Socket errors:") || line.starts_with("Non-2xx");
    if let Some(line) = report.lines().map(str::trim).find(trouble) {
        bail!("wrk saw failed requests: {line}");
    }
    let requests = report.lines().find_map(|line| line.split_once(" requests in ")?.0.trim().parse().ok());
    let per_second = report.lines().find_map(|line| line.strip_prefix("Requests/sec:")?.trim().parse().ok());
    match (requests, per_second) {
        (Some(requests), Some(per_second)) if requests > 0 => Ok(Completed { requests, per_second }),
        _ => bail!("wrk completed no request, or its report has another form: {report}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "Running 3s test @ http://127.0.0.1:8080/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.68ms  362.93us   9.08ms   90.39%
    Req/Sec    38.31k     2.08k   41.19k    83.33%
  114296 requests in 3.00s, 30.85MB read
Requests/sec:  38070.07
Transfer/sec:     10.27MB
";

    #[test]
    fn requests_and_rate_are_read_from_a_report() {
        assert_eq!(parse(GOOD).unwrap(), Completed { requests: 114_296, per_second: 38_070.07 });
    }

    #[test]
    fn a_report_with_failed_requests_is_an_error() {
        let errors =
            GOOD.replace("Requests/sec", "  Socket errors: connect 0, read 3, write 0, timeout 0\nRequests/sec");
        assert!(parse(&errors).unwrap_err().to_string().contains("read 3"));
        let refused = GOOD.replace("Requests/sec", "  Non-2xx or 3xx responses: 17\nRequests/sec");
        assert!(parse(&refused).is_err());
        assert!(parse("nothing").is_err());
    }
}
