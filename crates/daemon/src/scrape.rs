//! The response to a scrape: the metrics of a process, in one of two text formats. The crate `exposition` parses them.

use std::fmt;

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::registry::Registry;

use crate::process_metrics::ProcessMetrics;

/// The content type of `OpenMetrics` 1.0.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The content type of Prometheus' own text format.
const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The response to a scrape.
#[derive(Debug, PartialEq, Eq)]
pub struct ScrapeResponse {
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The metrics.
    pub text: String,
}

/// Returns the metrics of `registry`, and those of the process by the names that all programs have in common
/// (`process_*`).
///
/// They are in the `OpenMetrics` format if `accept`, the value of the request's `Accept`, names it, as Prometheus'
/// does; otherwise in Prometheus' own text format, which every scraper reads.
///
/// # Errors
/// If the encoder of a metric fails. Writing to a string does not fail.
pub fn expose(registry: &Registry, accept: Option<&str>) -> Result<ScrapeResponse, fmt::Error> {
    let mut of_process = Registry::default();
    of_process.register_collector(Box::new(ProcessMetrics));
    let mut text = String::new();
    encode_registry(&mut text, registry)?;
    encode_registry(&mut text, &of_process)?;
    let mut text = in_order(&text);
    if accept.is_some_and(|accept| accept.to_ascii_lowercase().contains("application/openmetrics-text")) {
        encode_eof(&mut text)?;
        return Ok(ScrapeResponse { content_type: OPENMETRICS, text });
    }
    Ok(ScrapeResponse { content_type: CLASSIC, text: classic(&text) })
}

/// Returns the same metrics with the series of each counter and gauge sorted by labels. The registry has them in hash
/// order, which differs between processes, so that a comparison would show differences that are none.
fn in_order(openmetrics: &str) -> String {
    let mut lines: Vec<&str> = openmetrics.lines().collect();
    let is_comment = |line: &&str| line.starts_with('#');
    // The buckets of a histogram keep their order.
    for part in lines.chunk_by_mut(|line, next| is_comment(line) == is_comment(next)) {
        if !part.iter().any(|line| is_comment(line) || line.contains("_bucket{")) {
            part.sort_unstable();
        }
    }
    lines.into_iter().flat_map(|line| [line, "\n"]).collect()
}

/// Returns the same metrics in Prometheus' own format. Samples are written alike; what differs is the lines about a
/// family: a counter is called by the name of its samples, `info` is a gauge, and there are no units.
fn classic(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    let mut help = None;
    for line in openmetrics.lines() {
        if line.starts_with("# HELP ") {
            // It comes before the type, which says the name.
            help = Some(line);
        } else if let Some(family) = line.strip_prefix("# TYPE ") {
            let (name, kind) = family.rsplit_once(' ').unwrap_or((family, "untyped"));
            let (name, kind) = match kind {
                "counter" => (format!("{name}_total"), "counter"),
                "info" => (format!("{name}_info"), "gauge"),
                kind => (name.to_owned(), kind),
            };
            let told = help.take().and_then(|line| line.strip_prefix("# HELP ")?.split_once(' '));
            if let Some((_, told)) = told {
                text.extend(["# HELP ", &name, " ", told, "\n"]);
            }
            text.extend(["# TYPE ", &name, " ", kind, "\n"]);
        } else if !line.starts_with('#') {
            text.extend([line, "\n"]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::family::Family;
    use prometheus_client::metrics::gauge::Gauge;
    use prometheus_client::metrics::histogram::Histogram;
    use prometheus_client::metrics::info::Info;
    use prometheus_client::registry::Unit;

    use super::*;

    fn registry() -> Registry {
        let mut registry = Registry::with_prefix("a");
        let requests = Counter::<u64>::default();
        requests.inc();
        registry.register("requests", "Requests so far", requests);
        registry.register_with_unit("age", "Age", Unit::Seconds, Gauge::<i64>::default());
        registry.register("build", "The program", Info::new([("version", "1")]));
        registry.register("sizes", "Sizes", Histogram::new([1.0]));
        registry
    }

    #[test]
    fn the_prometheus_text_format_is_the_default() {
        for accept in [None, Some("*/*"), Some("text/plain;version=0.0.4")] {
            let exposition = expose(&registry(), accept).unwrap();
            assert_eq!(exposition.content_type, CLASSIC);
            let expected = "\
# HELP a_requests_total Requests so far.
# TYPE a_requests_total counter
a_requests_total 1
# HELP a_age_seconds Age.
# TYPE a_age_seconds gauge
a_age_seconds 0
# HELP a_build_info The program.
# TYPE a_build_info gauge
a_build_info{version=\"1\"} 1
# HELP a_sizes Sizes.
# TYPE a_sizes histogram
a_sizes_sum 0.0
a_sizes_count 0
a_sizes_bucket{le=\"1.0\"} 0
a_sizes_bucket{le=\"+Inf\"} 0
";
            assert!(exposition.text.starts_with(expected), "{}", exposition.text);
            assert!(!exposition.text.contains("# EOF") && !exposition.text.contains("# UNIT"), "{}", exposition.text);
        }
    }

    #[test]
    fn series_are_sorted_by_their_labels() {
        let mut registry = Registry::default();
        let family = Family::<[(&str, &str); 1], Counter>::default();
        for port in ["9", "3", "7", "1", "5"] {
            family.get_or_create(&[("port", port)]).inc();
        }
        registry.register("requests", "Requests", family);
        registry.register("sizes", "Sizes", Histogram::new([5.0, 10.0]));
        for accept in [None, Some("application/openmetrics-text")] {
            let text = expose(&registry, accept).unwrap().text;
            let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).take(10).collect();
            let ports = [1, 3, 5, 7, 9].map(|port| format!("requests_total{{port=\"{port}\"}} 1"));
            assert_eq!(samples[..5], ports);
            let sizes = ["sizes_sum 0.0", "sizes_count 0", "5.0", "10.0", "+Inf"];
            assert!(samples[5..].iter().zip(sizes).all(|(sample, part)| sample.contains(part)), "{samples:?}");
        }
    }

    #[test]
    fn openmetrics_is_served_if_the_client_accepts_it() {
        let accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
        let exposition = expose(&registry(), Some(accept)).unwrap();
        assert_eq!(exposition.content_type, OPENMETRICS);
        assert!(exposition.text.contains("# TYPE a_requests counter\n"), "{}", exposition.text);
        assert!(exposition.text.ends_with("# EOF\n"), "{}", exposition.text);
    }

    #[test]
    fn metrics_of_the_process_are_exposed() {
        let text = expose(&Registry::default(), None).unwrap().text;
        let value = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {text}"));
            line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()
        };
        assert!(value("process_resident_memory_bytes ") > 100_000.0, "{text}");
        assert!(value("process_open_fds ") >= 3.0, "{text}");
        assert!(value("process_max_fds ") >= value("process_open_fds "), "{text}");
        assert!(value("process_cpu_seconds_total ") >= 0.0, "{text}");
        // After the year 2020, and not in the future by the kernel's own clock.
        assert!(value("process_start_time_seconds ") > 1.5e9, "{text}");
    }
}
