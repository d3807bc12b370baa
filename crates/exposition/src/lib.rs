//! A parser of Prometheus' text format ("exposition format"), as the programs of this workspace write it.
//!
//! `evenkeel check` and `recycling-proxy status` read the metrics of running proxies with it. It reads samples and
//! their labels, and ignores types, help, timestamps and exemplars. The response to a scrape is written by
//! `daemon::expose`.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

/// The samples of one reading, by the names of metrics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    samples: BTreeMap<String, Vec<Sample>>,
}

/// One series of a metric and its value.
#[derive(Clone, Debug, PartialEq)]
struct Sample {
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    /// Reads a text in which each line is a sample, `NAME{LABEL="VALUE",…} VALUE [TIMESTAMP]`, a comment or nothing.
    ///
    /// # Errors
    /// The first line that is none of these.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut metrics = Self::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (name, sample) = sample(line).ok_or_else(|| line.escape_debug().to_string())?;
            metrics.samples.entry(name).or_default().push(sample);
        }
        Ok(metrics)
    }

    /// Returns the sum of the series of a metric that have these labels; 0 if there is none, as of a counter that has
    /// counted nothing.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.of(name).filter(|sample| sample.has(labels)).map(|sample| sample.value).sum()
    }

    /// Returns whether there is a series of a metric.
    pub fn has(&self, name: &str) -> bool {
        self.of(name).next().is_some()
    }

    /// Returns the sum of the series of a metric for each value of a label.
    pub fn by_label(&self, name: &str, label: &str) -> BTreeMap<&str, f64> {
        self.by_label_of(name, label, &[])
    }

    /// Returns the sum of the series of a metric that have these labels for each value of another one.
    pub fn by_label_of(&self, name: &str, label: &str, labels: &[(&str, &str)]) -> BTreeMap<&str, f64> {
        let mut sums = BTreeMap::new();
        for sample in self.of(name).filter(|sample| sample.has(labels)) {
            if let Some(value) = sample.label(label) {
                *sums.entry(value).or_default() += sample.value;
            }
        }
        sums
    }

    /// Returns the value of a label whose series are 1 for what holds and 0 for the rest, as `phase` and `state`; and
    /// `version`.
    pub fn current(&self, name: &str, label: &str) -> Option<&str> {
        self.of(name).find(|sample| sample.value > 0.0).and_then(|sample| sample.label(label))
    }

    fn of(&self, name: &str) -> impl Iterator<Item = &Sample> {
        self.samples.get(name).into_iter().flatten()
    }
}

impl Sample {
    fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str)
    }

    fn has(&self, labels: &[(&str, &str)]) -> bool {
        labels.iter().all(|(label, value)| self.label(label) == Some(value))
    }
}

/// Reads one line; `None` if it is no sample.
fn sample(line: &str) -> Option<(String, Sample)> {
    let end = line.find(|c: char| c == '{' || c.is_whitespace())?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(&mut rest.chars().peekable())?,
        None => (BTreeMap::new(), rest.to_owned()),
    };
    let value = rest.split_whitespace().next()?.parse().ok()?;
    (!name.is_empty()).then(|| (name.to_owned(), Sample { labels, value }))
}

/// Reads labels up to the brace that ends them, and returns what comes after it.
fn labels(chars: &mut Peekable<Chars<'_>>) -> Option<(BTreeMap<String, String>, String)> {
    let mut labels = BTreeMap::new();
    loop {
        while chars.next_if(|c| *c == ',' || c.is_whitespace()).is_some() {}
        if chars.next_if_eq(&'}').is_some() {
            return Some((labels, chars.collect()));
        }
        let mut name = String::new();
        while let Some(c) = chars.next_if(|c| *c != '=') {
            name.push(c);
        }
        chars.next();
        labels.insert(name.trim().to_owned(), quoted(chars)?);
    }
}

/// Reads a value in quotes, in which `\\`, `\"` and `\n` are escaped.
fn quoted(chars: &mut Peekable<Chars<'_>>) -> Option<String> {
    chars.next_if_eq(&'"')?;
    let mut value = String::new();
    loop {
        match chars.next()? {
            '"' => return Some(value),
            '\\' => value.push(match chars.next()? {
                'n' => '\n',
                escaped => escaped,
            }),
            c => value.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# HELP p_requests_total Requests.
# TYPE p_requests_total counter
p_requests_total 12
p_tunnels_total{kind="tls"} 3
p_tunnels_total{kind="not_http"} 4
p_faults_total{side="app",reason="bare_line_end"} 5
p_faults_total{side="app",reason="bad_chunk"} 6
p_faults_total{reason="bad_host", side="client",} 7 1700000000000

p_state{state="expired"} 0
p_state{state="in_force"} 1
p_odd{text="a \"b\" \\ } ,\n"} 1e3
p_sizes_bucket{le="+Inf"} NaN
# EOF
"#;

    #[test]
    #[expect(clippy::float_cmp, reason = "small whole numbers")]
    fn samples_are_selected_by_name_and_labels() {
        let metrics = Metrics::parse(TEXT).unwrap();
        assert_eq!(metrics.sum("p_requests_total", &[]), 12.0);
        assert_eq!(metrics.sum("p_tunnels_total", &[]), 7.0);
        assert_eq!(metrics.sum("p_tunnels_total", &[("kind", "tls")]), 3.0);
        assert_eq!(metrics.sum("p_absent", &[]), 0.0);
        let faults = metrics.by_label("p_faults_total", "side");
        assert_eq!(faults, BTreeMap::from([("app", 11.0), ("client", 7.0)]));
        let of_app = metrics.by_label_of("p_faults_total", "reason", &[("side", "app")]);
        assert_eq!(of_app, BTreeMap::from([("bare_line_end", 5.0), ("bad_chunk", 6.0)]));
        assert_eq!(metrics.current("p_state", "state"), Some("in_force"));
        assert_eq!(metrics.current("p_absent", "state"), None);
        assert_eq!(metrics.sum("p_odd", &[("text", "a \"b\" \\ } ,\n")]), 1000.0);
    }

    #[test]
    fn a_line_that_is_no_sample_is_an_error_with_that_line() {
        for odd in ["<html>", "p_a", "p_a{", r#"p_a{b="c} 1"#, "p_a{b} 1", "p_a x", "{} 1", "404 page not found"] {
            let text = format!("p_b 1\n{odd}\n");
            let read = Metrics::parse(&text);
            assert_eq!(read.unwrap_err(), odd.escape_debug().to_string());
        }
    }
}
