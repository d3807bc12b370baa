//! The ports of the proxy, which a connection of the pod may have when the proxy starts.
//!
//! While the proxy is down between two starts, the kernel may give one of its ports to an outbound connection of the
//! pod, if `net.ipv4.ip_local_port_range` includes it. The redirect stays, so that the pod's clients are refused until
//! the proxy listens again. To exit would leave the next attempt to the kubelet, which waits for up to five minutes in
//! between; so the proxy tries again by itself. Ports that are free meanwhile are reserved, and refuse clients. A port
//! on which another process listens is not waited for.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use daemon::Reservation;
use settings::ProxySettings;
use tokio::time::{Instant, sleep, timeout_at};

use crate::app::sockets::Holder;

/// How long the proxy tries. The kernel keeps the port of a closed connection for 60 s (`TIME_WAIT`), and the startup
/// probe of the sidecar allows 120 s.
const TRY_FOR: Duration = Duration::from_secs(100);
const TRY_EVERY: Duration = Duration::from_millis(100);

/// A listener cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct ListenError {
    /// The configured address.
    pub address: SocketAddr,
    /// What the kernel said.
    pub source: io::Error,
}

/// Reserves every TCP port of the settings, and waits for those that connections have. Cancel safe.
///
/// # Errors
/// A port is still in use after 100 s, another process listens on it, or its address cannot be bound for another reason.
pub(crate) async fn reserve(settings: &ProxySettings) -> Result<Vec<Reservation>, ListenError> {
    reserve_by(settings.own_addresses(), daemon::reserve, Holder::of).await
}

async fn reserve_by<R>(
    addresses: Vec<SocketAddr>,
    mut bind: impl FnMut(SocketAddr) -> io::Result<R>,
    holder: impl Fn(SocketAddr) -> Option<Holder>,
) -> Result<Vec<R>, ListenError> {
    let deadline = Instant::now() + TRY_FOR;
    let (mut reserved, mut in_use) = (Vec::with_capacity(addresses.len()), Vec::new());
    // Every free port is reserved before the first wait, so that no connection takes it meanwhile.
    for address in addresses {
        match bind(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                let holder = holder(address);
                if holder.is_some_and(Holder::listens) {
                    return Err(ListenError { address, source: error });
                }
                warn_of(address, holder);
                in_use.push((address, error));
            }
            bound => reserved.push(bound.map_err(|source| ListenError { address, source })?),
        }
    }
    for (address, error) in in_use {
        let bound = timeout_at(deadline, until_free(|| bind(address))).await.unwrap_or(Err(error));
        reserved.push(bound.map_err(|source| ListenError { address, source })?);
    }
    Ok(reserved)
}

fn warn_of(address: SocketAddr, holder: Option<Holder>) {
    let used_by = holder.map_or_else(|| "unknown".to_owned(), |holder| holder.to_string());
    tracing::warn!(
        %address,
        used_by,
        "the port is in use, clients are refused: trying for {} s; net.ipv4.ip_local_reserved_ports keeps a port from \
         connections of the pod",
        TRY_FOR.as_secs()
    );
}

/// Tries again until the port is not in use.
async fn until_free<R>(mut bind: impl FnMut() -> io::Result<R>) -> io::Result<R> {
    loop {
        sleep(TRY_EVERY).await;
        match bind() {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            bound => return bound,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const ADDRESSES: [&str; 3] = ["[::]:15210", "[::]:15211", "[::]:15212"];

    fn some_addresses() -> Vec<SocketAddr> {
        ADDRESSES.iter().map(|address| address.parse().unwrap()).collect()
    }

    /// Reserves the addresses while binding the second one fails with `error` for `time`. Returns the result, and how long
    /// it took.
    async fn reserved(error: io::ErrorKind, time: Duration) -> (Result<Vec<SocketAddr>, ListenError>, Duration) {
        let start = Instant::now();
        let bind = |address: SocketAddr| {
            if address.port() == 15_211 && start.elapsed() < time { Err(error.into()) } else { Ok(address) }
        };
        let result = reserve_by(some_addresses(), bind, |_| None).await;
        (result, start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_port_in_use_is_waited_for() {
        let (result, took) = reserved(io::ErrorKind::AddrInUse, Duration::from_secs(61)).await;
        let [first, second, third] = <[SocketAddr; 3]>::try_from(some_addresses()).unwrap();
        assert_eq!(result.unwrap(), [first, third, second], "those that are free come first");
        assert!((61..63).contains(&took.as_secs()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_for_ports_is_bounded() {
        let (result, took) = reserved(io::ErrorKind::AddrInUse, Duration::MAX).await;
        let error = result.unwrap_err();
        assert!(error.to_string().starts_with("cannot listen on [::]:15211: "), "{error}");
        assert_eq!(took, TRY_FOR);
    }

    #[tokio::test(start_paused = true)]
    async fn other_errors_are_not_waited_for() {
        let (result, took) = reserved(io::ErrorKind::PermissionDenied, Duration::MAX).await;
        assert!(result.is_err_and(|error| error.address.port() == 15_211));
        assert_eq!(took, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn one_wait_is_for_all_ports() {
        let tries = Cell::new(0);
        let bind = |_: SocketAddr| {
            tries.set(tries.get() + 1);
            Err::<SocketAddr, io::Error>(io::ErrorKind::AddrInUse.into())
        };
        let start = Instant::now();
        reserve_by(some_addresses(), bind, |_| None).await.unwrap_err();
        assert!(start.elapsed() == TRY_FOR && (900..=1_003).contains(&tries.get()), "{} tries", tries.get());
    }
}
