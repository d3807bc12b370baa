//! What clients of every protocol lose while pods come and go.

use std::fmt;
use std::net::SocketAddr;

use serde::Serialize;

use crate::caller::Protocol;
use crate::figures::Figures;
use crate::fleet::{Fleet, Load};
use crate::shutdown::ShutdownCase;

/// A fleet of each protocol.
#[derive(Debug)]
pub struct Fleets(Vec<(Protocol, Fleet)>);

impl Fleets {
    /// Starts them; each has this load.
    pub fn start(addresses: &[SocketAddr], load: Load) -> Self {
        Self(Protocol::ALL.map(|protocol| (protocol, Fleet::speaking(protocol, addresses, load))).into())
    }

    /// Stops them; what they saw while the pods of this app were replaced so often.
    pub async fn finish(self, app: ShutdownCase, times: u32) -> Vec<Losses> {
        let mut all = Vec::new();
        for (protocol, fleet) in self.0 {
            let mut figures = fleet.finish().await;
            // As many lines as there were pods: nobody reads them.
            figures.by_pod.clear();
            all.push(Losses { app, protocol, times, figures });
        }
        all
    }
}

/// What clients of one protocol saw.
#[derive(Clone, Debug, Serialize)]
pub struct Losses {
    /// Of which app.
    pub app: ShutdownCase,
    protocol: Protocol,
    /// How often its pods were replaced.
    times: u32,
    #[serde(flatten)]
    figures: Figures,
}

impl Losses {
    /// Prints them as a table, and sorts them so.
    pub fn print(all: &mut [Self]) {
        all.sort_by_key(|losses| (losses.app, losses.protocol));
        for losses in all {
            println!("{losses}");
        }
    }

    /// Requests that failed.
    pub fn failed(&self) -> u64 {
        self.figures.failures()
    }

    /// Requests that were answered.
    pub fn answered(&self) -> u64 {
        self.figures.answered
    }
}

impl fmt::Display for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { app, protocol, times, figures } = self;
        write!(f, "{app:32} {times:4} times {protocol:9} {figures}")
    }
}
