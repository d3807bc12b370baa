//! Clients that take as much memory as they can, each in its own way, beside a legitimate one: none of its requests
//! fails, the admin port answers, and the process stays within its limit.
//!
//! As root the proxy runs in a control group with that limit, so that taking more would kill it; otherwise its own
//! memory is measured. `MEMORY_ATTACKERS` makes more clients than are needed to use up the budget.

use std::num::NonZeroUsize;
use std::time::Duration;

use settings::ProxyOption;
use test_support::{
    AttackedApp, LegitimateClient, LoopbackHost, MemoryAttack as Attack, MemoryLimit, RecyclingProxy, TestResult,
    ensure, ensure_eq, environment,
};
use tokio::time::{Instant, sleep};

use crate::stage::BINARY;

const LIMIT_MIB: u64 = 20;
/// More than 20 MiB hold: 310 silent connections, or 70 heads of 128 KiB.
const ATTACKERS: NonZeroUsize = NonZeroUsize::new(350).unwrap();
/// Connections that leave places for others.
const FEWER_THAN_PLACES: usize = 250;
/// For how long the legitimate client asks beside them.
const BESIDE: Duration = Duration::from_secs(1);
/// Requests of his that must be answered meanwhile, on each of two kinds of connections.
const ENOUGH: usize = 5;
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn memory_is_bounded_and_clients_are_served_beside_silent_clients() -> TestResult {
    beside(Attack::Silence).await
}

#[tokio::test]
async fn memory_is_bounded_and_clients_are_served_beside_unfinished_heads() -> TestResult {
    beside(Attack::UnfinishedHead).await
}

#[tokio::test]
async fn memory_is_bounded_and_clients_are_served_beside_unfinished_client_hellos() -> TestResult {
    beside(Attack::HalfClientHello).await
}

#[tokio::test]
async fn memory_is_bounded_and_clients_are_served_beside_paused_readers() -> TestResult {
    beside(Attack::PausedReader).await
}

#[tokio::test]
async fn memory_is_bounded_and_clients_are_served_beside_http2_peers_that_do_not_read() -> TestResult {
    beside(Attack::Http2Unread).await
}

#[tokio::test]
async fn memory_is_bounded_and_clients_are_served_beside_many_open_streams() -> TestResult {
    beside(Attack::OpenStreams).await
}

#[tokio::test]
async fn memory_is_bounded_and_clients_are_served_beside_endless_trailers() -> TestResult {
    beside(Attack::Trailers).await
}

#[tokio::test]
async fn memory_is_bounded_and_clients_are_served_beside_uploads_that_the_app_does_not_read() -> TestResult {
    beside(Attack::StalledUpload).await
}

#[tokio::test]
async fn memory_is_bounded_and_clients_are_served_beside_unfinished_heads_at_the_admin_port() -> TestResult {
    beside(Attack::AdminHead).await
}

async fn beside(attack: Attack) -> TestResult {
    // The test has both ends of every connection.
    daemon::raise_descriptor_limit();
    let app_host = LoopbackHost::reserve()?;
    let app = AttackedApp::start(app_host.port(8080))?;
    let limit = format!("{LIMIT_MIB}Mi");
    let mut proxy = RecyclingProxy::start(BINARY, app.address(), &[(ProxyOption::MemoryLimit, &limit)]).await?;
    let limited = MemoryLimit::around(proxy.id(), LIMIT_MIB << 20);

    let kept = LegitimateClient::start(proxy.address(), usize::MAX);
    let anew = LegitimateClient::start(proxy.address(), 3);
    let to = if attack == Attack::AdminHead { proxy.admin_address() } else { proxy.address() };
    let attackers = environment::number("MEMORY_ATTACKERS", ATTACKERS)?.get();
    // What waits for the app alone keeps its place, so that these may not have all.
    let attackers = if attack == Attack::Http2Unread { attackers.min(FEWER_THAN_PLACES) } else { attackers };
    let _held = attack.open(attackers, to).await;

    let begun = Instant::now();
    let before = (kept.answered(), anew.answered());
    while begun.elapsed() < BESIDE || kept.answered() < before.0 + ENOUGH || anew.answered() < before.1 + ENOUGH {
        ensure!(begun.elapsed() < PATIENCE, "{} and {} requests are answered", kept.answered(), anew.answered());
        let (status, _) = proxy.admin("/readyz").await?;
        ensure_eq!(status, 200);
        limited.check()?;
        ensure!(proxy.process().is_running(), "the proxy has ended");
        sleep(Duration::from_millis(50)).await;
    }
    ensure_eq!((kept.failures(), anew.failures()), (Vec::<String>::new(), Vec::new()));
    Ok(())
}
