//! The metrics are in Prometheus' text format, and their values are right.

use settings::ProxyOption;
use test_support::{Peer, RecyclingProxy, TIMEOUT, TestResult, ensure, ensure_eq};
use tokio::time::{Instant, sleep};

use crate::stage::{GET, OK, Stage, close, exchange};

/// Returns whether the line is a sample of the text format: a name with labels, and a number.
fn is_sample(line: &str) -> bool {
    let name_and_labels = line.rsplit_once(' ').map(|(name, value)| (name, value.parse::<f64>()));
    name_and_labels.is_some_and(|(name, value)| {
        let plain = name.split('{').next().unwrap_or_default();
        let named = !plain.is_empty() && plain.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':');
        named && value.is_ok() && name.contains('{') == name.ends_with('}')
    })
}

#[tokio::test]
async fn metrics_are_in_the_prometheus_text_format() -> TestResult {
    let stage = Stage::with_limit(2).await?;
    let (mut client, mut app) = stage.pair().await?;
    exchange(&mut client, &mut app).await?;
    let (status, text) = stage.proxy.admin("/metrics").await?;
    ensure_eq!(status, 200);
    let samples = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let (good, bad): (Vec<&str>, Vec<&str>) = samples.partition(|line| is_sample(line));
    ensure!(bad.is_empty(), "{bad:?}");
    ensure!(!good.is_empty());
    for sample in good {
        let name = sample.split(['{', ' ']).next().unwrap_or_default();
        let family = ["_total", "_bucket", "_sum", "_count", "_info"]
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(name);
        for kind in ["HELP", "TYPE"] {
            let is_described =
                text.contains(&format!("# {kind} {name} ")) || text.contains(&format!("# {kind} {family} "));
            ensure!(is_described, "no {kind} for {name}");
        }
    }
    close(client, app).await
}

/// The exposition has the content type of one of Prometheus' two text formats.
#[tokio::test]
async fn metrics_have_the_content_type_of_their_format() -> TestResult {
    let stage = Stage::with(&[]).await?;
    let mut client = Peer::connect(stage.proxy.admin_address()).await?;
    client.send("GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await?;
    let head = client.read_head().await?;
    let kind = head.tokens("content-type").concat();
    ensure!(kind.starts_with("text/plain") || kind.starts_with("application/openmetrics-text"), "{kind}");
    Ok(())
}

/// Returns the sum of the samples that begin with `start`: a name, or a name and its first labels.
pub(crate) async fn sum(proxy: &RecyclingProxy, start: &str) -> TestResult<f64> {
    let (_, text) = proxy.admin("/metrics").await?;
    let values = text.lines().filter(|line| line.starts_with(start)).filter_map(|line| line.rsplit_once(' '));
    let values: Vec<f64> = values.map(|(_, value)| value.parse()).collect::<Result<_, _>>()?;
    ensure!(!values.is_empty(), "{start} is not there");
    Ok(values.into_iter().sum())
}

#[tokio::test]
async fn metrics_count_what_happened() -> TestResult {
    let stage = Stage::with_limit(2).await?;
    let (mut retired, mut app) = stage.pair().await?;
    exchange(&mut retired, &mut app).await?;
    retired.send(GET).await?;
    app.expect(GET).await?;
    app.send(OK).await?;
    retired.read_to_end().await?;
    drop((retired, app));

    let (mut kept, mut app) = stage.pair().await?;
    exchange(&mut kept, &mut app).await?;
    close(kept, app).await?;

    let (mut tunnel, mut app) = stage.pair().await?;
    tunnel.send("\0").await?;
    app.expect("\0").await?;
    close(tunnel, app).await?;

    let (mut refused, _app) = stage.pair().await?;
    refused.send("GET / HTTP/1.1\r\nHost : a\r\n\r\n").await?;
    refused.read_to_end().await?;
    drop(refused);

    let (_open, _app) = stage.pair().await?;
    // The proxy counts the end of a connection a moment after the client has seen it.
    let begun = Instant::now();
    while sum(&stage.proxy, "evenkeel_proxy_connections_open{").await? > 1.0 {
        ensure!(begun.elapsed() < TIMEOUT, "connections that have ended still count as open");
        sleep(std::time::Duration::from_millis(20)).await;
    }
    for (samples, expected) in [
        ("evenkeel_proxy_connections_opened_total{", 4.0),
        ("evenkeel_proxy_connections_open{", 1.0),
        ("evenkeel_proxy_requests_total{", 3.0),
        ("evenkeel_proxy_connections_retired_total{", 1.0),
        ("evenkeel_proxy_connections_retired_total{reason=\"max_requests\"", 1.0),
        ("evenkeel_proxy_tunnels_total{", 1.0),
        ("evenkeel_proxy_faults_total{", 1.0),
        ("evenkeel_proxy_faults_total{side=\"client\"", 1.0),
        ("evenkeel_proxy_app_unreachable_total{", 0.0),
    ] {
        // Whole numbers compare exactly.
        ensure_eq!(sum(&stage.proxy, samples).await?.to_string(), expected.to_string(), "{samples}");
    }
    Ok(())
}

#[tokio::test]
async fn metrics_show_the_limits_in_force_by_port() -> TestResult {
    for (opaque, shown) in [("1", ["7", "90"]), ("8080", ["0", "0"])] {
        let options =
            [(ProxyOption::MaxRequests, "7"), (ProxyOption::MaxAge, "90s"), (ProxyOption::OpaquePorts, opaque)];
        let stage = Stage::with(&options).await?;
        for (name, value) in ["max_requests", "max_age_seconds"].into_iter().zip(shown) {
            let sample = format!("evenkeel_proxy_{name}{{port=\"8080\"}}");
            ensure_eq!(sum(&stage.proxy, &sample).await?.to_string(), value, "{name}");
        }
    }
    Ok(())
}

/// Errors are counted, too, if an earlier response rules out a 400 or 502.
#[tokio::test]
async fn protocol_errors_without_a_response_are_counted() -> TestResult {
    let stage = Stage::with_limit(10).await?;
    let (mut client, mut app) = stage.pair().await?;
    exchange(&mut client, &mut app).await?;
    app.send("noise").await?;
    client.read_to_end().await?;

    let (mut early, mut app) = stage.pair().await?;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    early.send(head).await?;
    app.expect(head).await?;
    app.send(OK).await?;
    early.expect(OK).await?;
    early.send("no size\r\n").await?;
    early.read_to_end().await?;

    for side in ["app", "client"] {
        let of_side = format!("evenkeel_proxy_faults_total{{side=\"{side}\"");
        ensure_eq!(sum(&stage.proxy, &of_side).await?.to_string(), "1", "{side}");
    }
    Ok(())
}
