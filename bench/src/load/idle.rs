//! Clients that have sent one request and keep their connections open.

use std::net::TcpStream;

use anyhow::{Context as _, Result};

use crate::load::exchange;
use crate::peer::Protocol;

/// Open connections to one port. They are closed when this value is dropped.
#[derive(Debug)]
pub(crate) struct Idle {
    protocol: Protocol,
    port: u16,
    streams: Vec<TcpStream>,
}

impl Idle {
    pub(crate) fn new(protocol: Protocol, port: u16) -> Self {
        Self { protocol, port, streams: Vec::new() }
    }

    /// Opens connections until there are `count`, each with one request answered.
    pub(crate) fn grow_to(&mut self, count: usize) -> Result<()> {
        while self.streams.len() < count {
            let stream = exchange::once(self.protocol, self.port)
                .with_context(|| format!("idle client {}", self.streams.len() + 1))?;
            self.streams.push(stream);
        }
        Ok(())
    }
}
