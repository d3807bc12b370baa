//! Out of descriptors: new connections wait, none is refused, and waiting takes no CPU time.

use std::fs;
use std::time::Duration;

use test_support::{Failure, Peer, TestResult, Unexpected, ensure, ensure_eq};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::stage::{GET, OK, Stage, exchange};

/// Far fewer than the clients need.
const DESCRIPTORS: u32 = 100;
const CLIENTS: usize = 80;

#[tokio::test]
async fn connections_beyond_the_descriptors_wait_and_none_is_refused() -> TestResult {
    let mut stage = Stage::with_descriptors(DESCRIPTORS, &[]).await?;
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let mut client = stage.proxy.connect().await?;
        client.send(GET).await?;
        clients.spawn(async move { answered(client).await });
    }

    // The proxy serves as many as its descriptors allow, and the others cost nothing while they wait.
    let mut served = vec![stage.app.accept().await?];
    while let Ok(app) = tokio::time::timeout(Duration::from_secs(1), stage.app.accept()).await {
        served.push(app?);
    }
    ensure!((10..CLIENTS / 2 + 10).contains(&served.len()), "{} have a connection to the app", served.len());
    let used = cpu_ticks(stage.proxy.process().id())?;
    sleep(Duration::from_secs(1)).await;
    let used = cpu_ticks(stage.proxy.process().id())? - used;
    // Ticks are hundredths of a second.
    ensure!(used < 20, "{used} % of a core were used for waiting");
    // The metrics, which show the reason, can still be read.
    let (status, metrics) = stage.proxy.admin("/metrics").await?;
    ensure_eq!(status, 200);
    let mut unreachable = metrics.lines().filter(|line| line.starts_with("evenkeel_proxy_app_unreachable_total"));
    ensure!(unreachable.all(|line| line.ends_with(" 0")), "a connection to the app failed:\n{metrics}");

    let mut done = 0;
    while let Some(mut app) = served.pop() {
        app.expect(GET).await?;
        app.send(OK).await?;
        clients.join_next().await.ok_or_else(|| Failure::new("fewer clients than answers"))???;
        done += 1;
        if done + served.len() < CLIENTS {
            served.push(stage.app.accept().await?);
        }
    }
    ensure_eq!(done, CLIENTS);

    let begun = Instant::now();
    let (mut client, mut app) = stage.pair().await?;
    exchange(&mut client, &mut app).await?;
    ensure!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    Ok(())
}

/// Waits for the response as long as it takes.
async fn answered(mut client: Peer) -> TestResult {
    loop {
        match client.expect(OK).await {
            Err(Unexpected::Silence { .. }) => {}
            answered => return Ok(answered?),
        }
    }
}

/// User and system time, the 14th and 15th field of /proc/PID/stat (proc(5)); the name before them may hold anything.
fn cpu_ticks(id: u32) -> TestResult<u64> {
    let text = fs::read_to_string(format!("/proc/{id}/stat"))?;
    let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields);
    Ok(fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<_, _>>()?)
}
