//! Clients that connect and say nothing.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::legitimate::Beside;
use crate::lane::{Door, Lane};

/// Descriptors that the proxy keeps for other things than its connections (208 with one thread), and what the
/// legitimate client takes; generously.
const RESERVE: u64 = 300;
const PATIENCE: Duration = Duration::from_mins(1);

/// Silent connections; they end with this value.
#[derive(Debug)]
pub(crate) struct Silence {
    _connections: Vec<TcpStream>,
}

/// Returns the descriptors that a process may have here.
pub(crate) fn descriptors() -> u64 {
    daemon::descriptor_limit().unwrap_or(1 << 20)
}

/// Returns as many of these as the proxy has descriptors for: two for each.
pub(crate) fn affordable(wanted: u32) -> u32 {
    let most = descriptors().saturating_sub(RESERVE) / 2;
    wanted.min(u32::try_from(most).unwrap_or(u32::MAX))
}

impl Silence {
    /// Connects so many, and waits until all are held.
    pub(crate) async fn of(lane: &Lane, door: Door, wanted: u32) -> Result<Self> {
        let before = lane.opened(door).await?;
        let mut connections = Vec::new();
        for number in 0..wanted {
            let stream = TcpStream::connect(lane.address(door)).await;
            connections.push(stream.with_context(|| format!("connection {number} of {wanted}"))?);
        }
        let begun = Instant::now();
        while lane.opened(door).await? < before + u64::from(wanted) {
            ensure!(begun.elapsed() < PATIENCE, "fewer than {wanted} connections are open after {PATIENCE:?}");
            sleep(Duration::from_millis(50)).await;
        }
        Ok(Self { _connections: connections })
    }
}

impl Beside for Silence {}
