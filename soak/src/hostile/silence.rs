//! Clients that connect and send nothing.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::legitimate::Beside;
use crate::lane::{Lane, Target};

/// Descriptors that the proxy needs besides its connections (208 with one thread), and those of the legitimate client,
/// at most.
const RESERVE: u64 = 300;
const TIMEOUT: Duration = Duration::from_mins(1);

/// Silent connections, which are closed when this value is dropped.
#[derive(Debug)]
pub(crate) struct Silence {
    _connections: Vec<TcpStream>,
}

/// Returns the limit of open descriptors of a process.
pub(crate) fn descriptors() -> u64 {
    daemon::descriptor_limit().unwrap_or(1 << 20)
}

/// Returns `wanted`, or the number of connections for which the proxy has descriptors: two for each.
pub(crate) fn affordable(wanted: u32) -> u32 {
    let most = descriptors().saturating_sub(RESERVE) / 2;
    wanted.min(u32::try_from(most).unwrap_or(u32::MAX))
}

impl Silence {
    /// Opens `wanted` connections, and waits until the proxy has accepted all.
    pub(crate) async fn of(lane: &Lane, target: Target, wanted: u32) -> Result<Self> {
        let before = lane.opened(target).await?;
        let mut connections = Vec::new();
        for number in 0..wanted {
            let stream = TcpStream::connect(lane.address(target)).await;
            connections.push(stream.with_context(|| format!("connection {number} of {wanted}"))?);
        }
        let begun = Instant::now();
        while lane.opened(target).await? < before + u64::from(wanted) {
            ensure!(begun.elapsed() < TIMEOUT, "fewer than {wanted} connections are open after {TIMEOUT:?}");
            sleep(Duration::from_millis(50)).await;
        }
        Ok(Self { _connections: connections })
    }
}

impl Beside for Silence {}
