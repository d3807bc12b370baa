//! The balancer levels the load of real proxies.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::fleet::{CLIENTS, Fleet};

/// Returns the busiest pod against the mean, in percent.
fn skew(loads: &[u64]) -> u64 {
    let (busiest, sum) = (loads.iter().max().copied().unwrap_or_default(), loads.iter().sum::<u64>());
    100 * busiest * loads.len() as u64 / sum.max(1)
}

#[tokio::test(flavor = "multi_thread")]
async fn load_is_level_after_a_scale_out_and_no_request_is_lost() {
    let mut fleet = Fleet::start(4).await;
    // Rates are estimated from what connections have carried.
    sleep(Duration::from_secs(10)).await;
    fleet.scale(8).await;
    let service = &fleet.service;
    let (start, before) = (Instant::now(), service.reconnects.load(Ordering::Relaxed));
    let loads = loop {
        let loads = service.loads().await;
        eprintln!("after {:.1} s: {loads:?}, busiest at {} %", start.elapsed().as_secs_f64(), skew(&loads));
        if skew(&loads) <= 135 || start.elapsed() > Duration::from_mins(1) {
            break loads;
        }
    };
    let moved = service.reconnects.load(Ordering::Relaxed) - before;
    eprintln!("{moved} reconnects of {CLIENTS} connections");
    assert!(skew(&loads) <= 135, "{loads:?}");
    assert!(loads.iter().all(|load| *load > 0), "{loads:?}");
    assert!(moved <= 2 * CLIENTS, "{moved}");
    assert_eq!(service.failures.load(Ordering::Relaxed), 0);
}
