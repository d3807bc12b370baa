//! An address for every pod on a machine without a pod network: on Linux all of 127.0.0.0/8 is loopback.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{Context, Result, bail};

/// The app's port in the manifest, or the first one after it that is free.
const APP_PORTS: std::ops::Range<u16> = 8080..8100;
/// The host part of the control plane's address. Its proxy port stays bound to reserve the subnet.
const CONTROL_HOST: u8 = 254;

/// A subnet 127.1.S.0/24 that no other demo uses.
#[derive(Debug)]
pub(crate) struct Addresses {
    subnet: u8,
    app_port: u16,
    _held: TcpListener,
}

impl Addresses {
    /// Finds a subnet for `pods` pods, and a port that is free for the app on each address.
    pub(crate) fn claim(pods: u8) -> Result<Self> {
        let (subnet, held) = free_subnet()?;
        let free = |port: u16| (1..=pods).all(|pod| bind(subnet, pod, port).is_ok());
        if !free(settings::ADMIN_PORT) {
            bail!("port {} is in use on all addresses of this machine: another recycling-proxy?", settings::ADMIN_PORT);
        }
        let app_port = APP_PORTS.clone().find(|port| free(*port));
        let app_port = app_port.with_context(|| format!("none of the ports {APP_PORTS:?} is free on this machine"))?;
        Ok(Self { subnet, app_port, _held: held })
    }

    /// Returns the port on which every app listens.
    pub(crate) const fn app_port(&self) -> u16 {
        self.app_port
    }

    /// Returns the address of the pod with this number, from 0.
    pub(crate) const fn pod(&self, pod: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, 1, self.subnet, pod + 1)
    }

    /// Returns a free port on the control plane's address.
    pub(crate) fn control(&self) -> Result<SocketAddr> {
        let listener = bind(self.subnet, CONTROL_HOST, 0).context("no port is free for the webhook")?;
        Ok(listener.local_addr()?)
    }
}

fn free_subnet() -> Result<(u8, TcpListener)> {
    for subnet in 0..=u8::MAX {
        match bind(subnet, CONTROL_HOST, settings::PROXY_PORT) {
            Ok(held) => return Ok((subnet, held)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => {
                return Err(error)
                    .context("127.1.0.254 cannot be used: the demo needs Linux, where all of 127.0.0.0/8 is loopback");
            }
        }
    }
    bail!("port {} is in use on all addresses of this machine: another recycling-proxy?", settings::PROXY_PORT)
}

fn bind(subnet: u8, host: u8, port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::new(127, 1, subnet, host), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_demos_have_distinct_addresses() {
        let one = Addresses::claim(4).unwrap();
        let other = Addresses::claim(4).unwrap();
        assert_ne!(one.pod(0), other.pod(0));
        assert_ne!(one.pod(0), one.pod(3));
        assert_eq!(one.control().unwrap().ip(), Ipv4Addr::new(127, 1, one.subnet, 254));
    }
}
