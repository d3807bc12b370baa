//! Floods of HTTP/2 frames that cost a client nothing. They pass, because the app decides what is too much. They take
//! CPU time in proportion to their length, and no memory of the proxy.

use std::time::Duration;

use test_support::{End, Peer, TestResult, ensure};
use tokio::time::timeout;

use crate::http2_stage::{
    ACK, CONTINUATION, END_HEADERS, END_STREAM, HEADERS, PING, REQUEST, RST_STREAM, SETTINGS, exchange, first_step,
    frame, last_step, no_error_goaway, open, request, response,
};
use crate::stage::{Stage, UNREACHED};

/// The bound of the proxy's growth: two buffers of a connection, and memory that the allocator keeps.
const GROWTH: u64 = 4 * 1024 * 1024;

/// CVE-2023-44487: streams that are opened and reset at once, so that no number of open streams bounds them.
#[tokio::test]
async fn a_million_rapid_resets_take_no_memory() -> TestResult {
    const BATCH: u32 = 1_000;
    const BATCHES: u32 = 1_000;
    let mut stage = Stage::with_limit(2 * UNREACHED).await?;
    let (mut client, mut app) = open(&stage).await?;
    let before = usage(&mut stage)?;
    let mut costs = Vec::new();
    for time in 0..BATCHES {
        let streams = (0..BATCH).map(|number| 2 * (BATCH * time + number) + 1);
        let resets = streams.flat_map(|stream| [request(stream), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat());
        let resets: Vec<u8> = resets.collect();
        client.send(&resets).await?;
        app.expect(&resets).await?;
        if (time + 1).is_multiple_of(BATCHES / 4) {
            costs.push(usage(&mut stage)?.time);
        }
    }
    ensure!(usage(&mut stage)?.peak < before.peak + GROWTH, "{} KiB before", before.peak / 1024);
    // The last quarter takes no longer than the first: the proxy keeps no state of a stream that has ended.
    let (first, last) = (costs[0].saturating_sub(before.time), costs[3].saturating_sub(costs[2]));
    ensure!(last < 3 * first + Duration::from_millis(100), "the first quarter took {first:?}, the last {last:?}");
    let (_, metrics) = stage.proxy.admin("/metrics").await?;
    ensure!(
        metrics.contains("requests_total{protocol=\"http2\",source=\"client\",port=\"8080\"} 1000000\n"),
        "{metrics}"
    );
    exchange(&mut client, &mut app, 2 * BATCH * BATCHES + 1).await
}

/// CVE-2024-27316: a field block that never ends. The proxy does not buffer it.
#[tokio::test]
async fn an_endless_field_block_passes_until_the_app_ends_the_connection() -> TestResult {
    let mut stage = Stage::with_limit(UNREACHED).await?;
    let (mut client, mut app) = open(&stage).await?;
    let before = usage(&mut stage)?;
    let begin = frame(HEADERS, END_STREAM, 1, REQUEST);
    client.send(&begin).await?;
    app.expect(&begin).await?;
    for payload in [0, 1, 16_384] {
        let piece = frame(CONTINUATION, 0, 1, &vec![0x20; payload]).repeat(100);
        for _ in 0..20 {
            client.send(&piece).await?;
            app.expect(&piece).await?;
        }
    }
    ensure!(usage(&mut stage)?.peak < before.peak + GROWTH, "{} KiB before", before.peak / 1024);
    // The client's field block does not delay the app's frames.
    app.send(no_error_goaway(0)).await?;
    client.expect(no_error_goaway(0)).await?;
    drop(app);
    client.expect_end(End::Fin).await?;
    stage.still_serves().await
}

#[tokio::test]
async fn floods_of_settings_and_pings_pass_without_taking_memory() -> TestResult {
    let mut stage = Stage::with_limit(UNREACHED).await?;
    let (mut client, mut app) = open(&stage).await?;
    let before = usage(&mut stage)?;
    for (flood, answer) in [
        (frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]), frame(SETTINGS, ACK, 0, b"")),
        (frame(SETTINGS, 0, 0, b""), frame(SETTINGS, ACK, 0, b"")),
        (frame(PING, 0, 0, b"8 octets"), frame(PING, ACK, 0, b"8 octets")),
    ] {
        let (flood, answer) = (flood.repeat(1_000), answer.repeat(1_000));
        for _ in 0..100 {
            client.send(&flood).await?;
            app.expect(&flood).await?;
            app.send(&answer).await?;
            client.expect(&answer).await?;
        }
    }
    ensure!(usage(&mut stage)?.peak < before.peak + GROWTH, "{} KiB before", before.peak / 1024);
    exchange(&mut client, &mut app, 1).await
}

/// A client that sends requests and does not read responses: the app cannot send, so it does not read, and then the
/// client cannot send. The proxy buffers a bounded amount.
#[tokio::test]
async fn a_flood_that_is_not_read_stops_by_backpressure() -> TestResult {
    let mut stage = Stage::with_limit(UNREACHED).await?;
    let (mut client, mut app) = open(&stage).await?;
    let before = usage(&mut stage)?;
    let flood = frame(PING, 0, 0, b"8 octets").repeat(10_000);
    let sent = sent_until_blocked(&mut client, &flood).await?;
    ensure!(sent < 64, "{sent} floods of {} bytes were accepted", flood.len());
    ensure!(usage(&mut stage)?.peak < before.peak + GROWTH, "{} KiB before", before.peak / 1024);
    app.expect(&flood).await?;
    Ok(())
}

/// Sends the bytes until the receiver accepts no more. Returns how often they were sent.
async fn sent_until_blocked(peer: &mut Peer, bytes: &[u8]) -> TestResult<usize> {
    for sent in 0..64 {
        match timeout(Duration::from_secs(1), peer.send(bytes)).await {
            Ok(done) => done?,
            Err(_elapsed) => return Ok(sent),
        }
    }
    Ok(64)
}

/// After the last GOAWAY the client sends on: frames of the connection pass, and frames of later streams do not.
#[tokio::test]
async fn frames_of_streams_after_the_last_are_dropped_and_others_pass() -> TestResult {
    let stage = Stage::with_limit(1).await?;
    let (mut client, mut app) = open(&stage).await?;
    client.send(request(1)).await?;
    app.expect(request(1)).await?;
    app.send(response(1)).await?;
    let ping = first_step(&mut client).await?;
    client.expect(response(1)).await?;
    client.send(frame(PING, ACK, 0, &ping)).await?;
    last_step(&mut client, 1).await?;
    let late = [frame(HEADERS, END_HEADERS, 3, REQUEST), frame(PING, 0, 0, b"8 octets")].concat();
    client.send(late.repeat(10_000)).await?;
    app.expect(frame(PING, 0, 0, b"8 octets").repeat(10_000)).await?;
    client.expect_end(End::Fin).await?;
    Ok(())
}

/// The resources that the proxy has used so far.
struct Usage {
    /// The peak of resident memory, bytes.
    peak: u64,
    /// User and system CPU time.
    time: Duration,
}

fn usage(stage: &mut Stage) -> TestResult<Usage> {
    let process = format!("/proc/{}", stage.proxy.process().id());
    let status = std::fs::read_to_string(format!("{process}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    let peak = peak.unwrap_or_default().trim().parse::<u64>()? * 1024;
    let stat = std::fs::read_to_string(format!("{process}/stat"))?;
    // Fields 14 and 15 of proc_pid_stat(5), in ticks of 10 ms, after the name, which may have spaces.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Usage { peak, time: Duration::from_millis(10 * ticks) })
}
