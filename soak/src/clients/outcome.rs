//! The results of a client's run, by its own count.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::kind::OutputFormat;

/// Responses and failures by the client's own count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Outcome {
    /// Requests with the expected response.
    pub(crate) answered: u64,
    /// All others that were sent, by the client's error.
    pub(crate) failures: BTreeMap<String, u64>,
}

impl Outcome {
    /// Parses the client's output.
    pub(crate) fn read(format: OutputFormat, text: &str) -> Result<Self> {
        let outcome = match format {
            OutputFormat::Json => text.lines().last().and_then(|line| serde_json::from_str(line).ok()),
            OutputFormat::Wrk => wrk(text),
            OutputFormat::Hey => hey(text),
            OutputFormat::Ab => ab(text),
            OutputFormat::H2load => h2load(text),
            OutputFormat::Curl => Some(curl(text)),
        };
        outcome.with_context(|| format!("its output has an unexpected form:\n{text}"))
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// Fails if no request was sent: the next run would not do better.
    pub(crate) fn of_some_work(self) -> Result<Self> {
        if self.answered == 0 {
            bail!("not one request was answered: {:?}", self.failures);
        }
        Ok(self)
    }

    fn new(answered: u64, failures: impl IntoIterator<Item = (&'static str, u64)>) -> Self {
        let failures = failures.into_iter().filter(|(_, count)| *count > 0);
        Self { answered, failures: failures.map(|(why, count)| (why.to_owned(), count)).collect() }
    }
}

impl AddAssign for Outcome {
    fn add_assign(&mut self, other: Self) {
        self.answered += other.answered;
        for (why, count) in other.failures {
            *self.failures.entry(why).or_default() += count;
        }
    }
}

/// Returns the first number after a word.
fn after(text: &str, word: &str) -> Option<u64> {
    let (_, rest) = text.split_once(word)?;
    let digits: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Returns the last number before a word.
fn before(text: &str, word: &str) -> Option<u64> {
    let (rest, _) = text.split_once(word)?;
    rest.trim_end().rsplit([' ', '\n', ',']).next()?.parse().ok()
}

/// wrk prints `Socket errors: connect 0, read 0, write 0, timeout 0` and `Non-2xx or 3xx responses: 0` only if they are
/// not all 0.
fn wrk(text: &str) -> Option<Outcome> {
    let errors = text.split_once("Socket errors:").map_or("", |(_, errors)| errors);
    let error = |word| after(errors, word).unwrap_or(0);
    let other = after(text, "Non-2xx or 3xx responses:").unwrap_or(0);
    let requests = before(text, " requests in ")?;
    let failures = [
        ("connect error", error("connect")),
        ("read error", error("read")),
        ("write error", error("write")),
        ("timeout", error("timeout")),
        ("other status", other),
    ];
    Some(Outcome::new(requests.saturating_sub(other), failures))
}

/// hey prints `[200] N responses` and, if there are errors, `Error distribution:` with `[N] MESSAGE`, separated by
/// tabs.
fn hey(text: &str) -> Option<Outcome> {
    let (statuses, errors) = text.split_once("Error distribution:").unwrap_or((text, ""));
    let mut outcome = Outcome::default();
    for line in statuses.lines().filter(|line| line.ends_with(" responses")) {
        let (status, count) = line.trim().strip_prefix('[')?.split_once(']')?;
        let count = count.trim().strip_suffix(" responses")?.parse().ok()?;
        match status {
            "200" => outcome.answered += count,
            other => outcome += Outcome { answered: 0, failures: [(format!("status {other}"), count)].into() },
        }
    }
    for line in errors.lines().filter(|line| line.trim().starts_with('[')) {
        let (count, why) = line.trim().strip_prefix('[')?.split_once(']')?;
        outcome += Outcome { answered: 0, failures: [(why.trim().to_owned(), count.parse().ok()?)].into() };
    }
    Some(outcome)
}

fn ab(text: &str) -> Option<Outcome> {
    let (complete, failed) = (after(text, "Complete requests:")?, after(text, "Failed requests:")?);
    let other = after(text, "Non-2xx responses:").unwrap_or(0);
    let answered = complete.saturating_sub(failed + other);
    Some(Outcome::new(answered, [("failed", failed), ("other status", other)]))
}

/// h2load sends nothing more on a connection that has received GOAWAY. Requests that it has not started are not lost.
fn h2load(text: &str) -> Option<Outcome> {
    let line = text.lines().find(|line| line.starts_with("requests:"))?;
    let (started, succeeded) = (before(line, " started")?, before(line, " succeeded")?);
    Some(Outcome::new(succeeded, [("started without an answer", started.checked_sub(succeeded)?)]))
}

/// curl prints `STATUS LENGTH EXITCODE MESSAGE`, a line for each transfer.
fn curl(text: &str) -> Outcome {
    let mut outcome = Outcome::default();
    for line in text.lines() {
        match line.trim_end() {
            "200 64 0" => outcome.answered += 1,
            other => *outcome.failures.entry(other.to_owned()).or_default() += 1,
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: OutputFormat, text: &str) -> (u64, Vec<(String, u64)>) {
        let outcome = Outcome::read(format, text).unwrap();
        (outcome.answered, outcome.failures.into_iter().collect())
    }

    fn one(why: &str, count: u64) -> Vec<(String, u64)> {
        vec![(why.to_owned(), count)]
    }

    #[test]
    fn the_output_of_each_client_is_read() {
        let wrk = "Running 1s test\n  1 threads\n  5189 requests in 1.10s, 0.87MB read\nRequests/sec: 4716.58\n";
        assert_eq!(read(OutputFormat::Wrk, wrk), (5189, vec![]));
        let wrk = "  100 requests in 1.10s, 0.87MB read\n  Socket errors: connect 0, read 7, write 0, timeout 0\n";
        assert_eq!(read(OutputFormat::Wrk, wrk), (100, one("read error", 7)));
        let wrk = "  100 requests in 1.10s, 0.87MB read\n  Non-2xx or 3xx responses: 3\n";
        assert_eq!(read(OutputFormat::Wrk, wrk), (97, one("other status", 3)));

        let hey = "Status code distribution:\n  [200]\t4990 responses\n  [502]\t2 responses\n\n";
        assert_eq!(read(OutputFormat::Hey, hey), (4990, one("status 502", 2)));
        let hey = "  [200]\t10 responses\n\nError distribution:\n  [3]\tPost \"http://a/\": EOF\n";
        assert_eq!(read(OutputFormat::Hey, hey), (10, one("Post \"http://a/\": EOF", 3)));

        let ab = "Complete requests:      5000\nFailed requests:        2\n   (Connect: 0, Receive: 2)\n";
        assert_eq!(read(OutputFormat::Ab, ab), (4998, one("failed", 2)));

        let h2load = "requests: 50 total, 40 started, 40 done, 39 succeeded, 11 failed, 11 errored, 0 timeout\n";
        assert_eq!(read(OutputFormat::H2load, h2load), (39, one("started without an answer", 1)));

        assert_eq!(
            read(OutputFormat::Curl, "200 64 0 \n200 64 0 \n000 0 52 Empty reply\n"),
            (2, one("000 0 52 Empty reply", 1))
        );

        let json = "a warning\n{\"answered\": 5, \"failures\": {\"EOF\": 1}}\n";
        assert_eq!(read(OutputFormat::Json, json), (5, one("EOF", 1)));
    }

    #[test]
    fn a_client_without_output_is_no_success() {
        for format in [OutputFormat::Json, OutputFormat::Wrk, OutputFormat::Ab, OutputFormat::H2load] {
            assert!(Outcome::read(format, "").is_err(), "{format:?}");
        }
        for format in [OutputFormat::Hey, OutputFormat::Curl] {
            assert!(Outcome::read(format, "").unwrap().of_some_work().is_err(), "{format:?}");
        }
    }
}
