//! Clients that have asked once and now sit on their connections.

use std::net::TcpStream;

use anyhow::{Context as _, Result};

use crate::load::exchange;

/// Open connections to one port; dropping it closes them all.
#[derive(Debug)]
pub(crate) struct Idle {
    port: u16,
    streams: Vec<TcpStream>,
}

impl Idle {
    pub(crate) fn new(port: u16) -> Self {
        Self { port, streams: Vec::new() }
    }

    /// Opens connections until there are `count`, each with one request answered.
    pub(crate) fn grow_to(&mut self, count: usize) -> Result<()> {
        while self.streams.len() < count {
            let mut stream = exchange::connect(self.port)?;
            exchange::ask(&mut stream).with_context(|| format!("idle client {}", self.streams.len() + 1))?;
            self.streams.push(stream);
        }
        Ok(())
    }
}
