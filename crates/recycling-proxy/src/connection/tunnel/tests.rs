//! Eviction while both sides of a tunnel are being closed, on the test's own clock.

use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use settings::{ProxySettings, RawOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::*;
use crate::connection::testing::Parts;
use crate::memory::Memory;

const PORT: u16 = 8080;

/// A tunnel that has the only connection slot.
struct Running {
    client: TcpStream,
    app: TcpStream,
    tunnel: Connection,
    memory: Arc<Memory>,
    registry: Registry,
}

async fn start() -> Running {
    let (client, app, pair) = Pair::with_far_ends().await;
    let settings = ProxySettings::from_raw(&RawOptions::default()).unwrap();
    let Parts { service, mut registry, .. } = Parts::new(&settings, PORT);
    let memory = Memory::with(0, 1 << 20, 1, &mut registry);
    let held = service.hold(PORT, memory.admit().await);
    let tunnel = Connection::new((TunnelKind::OpaquePort, Source::Client), pair, None, service, held);
    Running { client, app, tunnel, memory, registry }
}

/// Closes the tunnel at its maximum age while another connection waits for its slot. Returns how long that took.
async fn close(tunnel: Connection, memory: &Arc<Memory>) -> Duration {
    let begun = Instant::now();
    let ((), slot) = tokio::join!(tunnel.finish(Ending::Own(tunnel::Ending::Aged)), memory.admit());
    drop(slot);
    begun.elapsed()
}

/// Returns the value of a counter; 0 if it does not exist.
fn count(registry: &Registry, series: &str) -> u64 {
    let mut text = String::new();
    encode(&mut text, registry).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(&format!("evenkeel_proxy_{series} ")));
    value.map_or(0, |value| value.parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_in_which_the_app_has_sent_nothing_is_evicted_while_it_is_being_closed() {
    let Running { client, app, tunnel, memory, registry } = start().await;
    let waited = close(tunnel, &memory).await;
    // The lingering close of a silent client takes 5 s.
    assert!((Duration::from_secs(1)..Duration::from_secs(2)).contains(&waited), "{waited:?}");
    assert_eq!(count(&registry, "shortages_total{action=\"silent\"}"), 1);
    assert_eq!(count(&registry, "exchanges_broken_total{side=\"proxy\",phase=\"tunnel\",port=\"8080\"}"), 1);
    assert_eq!(count(&registry, "tunnels_ended_total{reason=\"evicted\",port=\"8080\"}"), 1);
    drop((client, app));
}

/// The client may not have read the app's bytes yet.
#[tokio::test(start_paused = true)]
async fn a_tunnel_in_which_the_app_has_sent_bytes_is_not_evicted_while_it_is_being_closed() {
    let Running { mut client, mut app, mut tunnel, memory, registry } = start().await;
    app.write_all(b"x").await.unwrap();
    let mut byte = [0];
    tokio::select! {
        _ = poll_fn(|cx| tunnel.poll(cx)) => panic!("the tunnel has ended"),
        read = client.read_exact(&mut byte) => assert_eq!(read.unwrap(), 1),
    }
    // Their bytes acknowledge the proxy's FIN, and keep its lingering close up.
    let keep_sending = async {
        loop {
            client.write_all(b"x").await.unwrap();
            app.write_all(b"x").await.unwrap();
            sleep(Duration::from_secs(1)).await;
        }
    };
    let waited = tokio::select! {
        waited = close(tunnel, &memory) => waited,
        () = keep_sending => panic!("it never ends"),
    };
    // Its whole lingering close.
    assert!((Duration::from_secs(30)..Duration::from_secs(31)).contains(&waited), "{waited:?}");
    assert!(count(&registry, "shortages_total{action=\"still\"}") > 1, "no eviction was requested, or only one");
    let ended = "tunnels_ended_total{reason=\"max_tunnel_age\",port=\"8080\"}";
    assert_eq!(count(&registry, ended), 1);
}
