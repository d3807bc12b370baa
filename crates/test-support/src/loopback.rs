//! Loopback addresses whose ports no other test uses.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// Bound for as long as an address is reserved. It is below the ephemeral ports, so that no client gets it by chance.
const LOCK_PORT: u16 = 15_209;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// An address of 127.0.0.0/8 of which every port is free and stays free. Concurrent tests can use fixed ports, and an
/// app can be started again on the port that it had.
#[derive(Debug)]
pub struct LoopbackHost {
    ip: Ipv4Addr,
    _lock: TcpListener,
}

impl LoopbackHost {
    /// Reserves an address that no other test has.
    pub fn reserve() -> io::Result<Self> {
        loop {
            // Processes begin far apart and rarely try the same address; if they do, the lock decides.
            let candidate = process::id().wrapping_mul(4_099).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
            let [_, b, c, d] = candidate.to_be_bytes();
            // Other programs use addresses of 127.0.0.0/16.
            let ip = Ipv4Addr::new(127, b.max(1), c, d.clamp(1, 254));
            match TcpListener::bind((ip, LOCK_PORT)) {
                Ok(lock) => return Ok(Self { ip, _lock: lock }),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns the address with a port.
    pub fn port(&self, port: u16) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(self.ip), port)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_loopback_address_is_reserved_twice() {
        let hosts: Vec<_> = (0..600).map(|_| LoopbackHost::reserve().unwrap()).collect();
        let different: HashSet<_> = hosts.iter().map(|host| host.port(80)).collect();
        assert_eq!(different.len(), hosts.len());
    }
}
