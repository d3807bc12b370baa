//! Hostile clients that use as much memory of the proxy as they can, beside a legitimate one. No request of the
//! legitimate one fails, the admin port answers, and the process stays within its memory limit.
//!
//! As root the proxy runs in a cgroup with that limit, so that the kernel kills it if it uses more; otherwise its own
//! memory is measured. `MEMORY_ATTACKERS` sets the number of hostile clients; of those that wait
//! for the app there are at most 120.

use std::num::NonZeroUsize;
use std::time::Duration;

use settings::ProxyOption;
use test_support::{
    AttackedApp, LegitimateClient, LoopbackHost, MemoryAttack as Attack, MemoryLimit, RecyclingProxy, TestResult,
    ensure, ensure_eq, environment,
};
use tokio::time::{Instant, sleep};

use crate::stage::{BINARY, UNREACHED};

const LIMIT_MIB: u64 = 20;
/// More than fit into 20 MiB: 310 silent connections, or 70 heads of 128 KiB.
const ATTACKERS: NonZeroUsize = NonZeroUsize::new(350).unwrap();
/// Connections that wait for the app are not evicted, and each holds up to 33 KiB of the 4.9 MiB for connections. This
/// many leave some for others.
const WAITING_FOR_APP: usize = 120;
/// How long the legitimate client sends requests beside them, at least.
const MEASURED: Duration = Duration::from_secs(1);
/// How many of its requests must be answered meanwhile, on persistent connections and on short ones.
const ANSWERED: usize = 5;
const DEADLINE: Duration = Duration::from_mins(1);

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
    let unreached = UNREACHED.to_string();
    let options = [(ProxyOption::MemoryLimit, limit.as_str()), (ProxyOption::MaxRequests, &unreached)];
    let mut proxy = RecyclingProxy::start(BINARY, app.address(), &options).await?;
    let limited = MemoryLimit::around(proxy.id(), LIMIT_MIB << 20);

    let kept = LegitimateClient::start(proxy.address(), usize::MAX);
    let anew = LegitimateClient::start(proxy.address(), 3);
    let to = if attack == Attack::AdminHead { proxy.admin_address() } else { proxy.address() };
    let attackers = environment::number("MEMORY_ATTACKERS", ATTACKERS)?.get();
    let attackers = if attack == Attack::Http2Unread { attackers.min(WAITING_FOR_APP) } else { attackers };
    let _held = attack.open(attackers, to).await;

    let begun = Instant::now();
    let before = (kept.answered(), anew.answered());
    while begun.elapsed() < MEASURED || kept.answered() < before.0 + ANSWERED || anew.answered() < before.1 + ANSWERED {
        ensure!(begun.elapsed() < DEADLINE, "{} and {} requests are answered", kept.answered(), anew.answered());
        let (status, _) = proxy.admin("/readyz").await?;
        ensure_eq!(status, 200);
        limited.check()?;
        ensure!(proxy.process().is_running(), "the proxy has ended");
        sleep(Duration::from_millis(50)).await;
    }
    ensure_eq!((kept.failures(), anew.failures()), (Vec::<String>::new(), Vec::new()));
    Ok(())
}
