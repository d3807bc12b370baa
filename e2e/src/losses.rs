//! The requests that clients of every protocol lose while pods are replaced.

use std::fmt;
use std::net::SocketAddr;

use serde::Serialize;

use crate::caller::Protocol;
use crate::figures::Figures;
use crate::fleet::{Fleet, Load};
use crate::shutdown::ShutdownCase;

/// A fleet for each protocol.
#[derive(Debug)]
pub struct Fleets(Vec<(Protocol, Fleet)>);

impl Fleets {
    /// Starts the fleets, each with this load.
    pub fn start(addresses: &[SocketAddr], load: Load) -> Self {
        Self(Protocol::ALL.map(|protocol| (protocol, Fleet::speaking(protocol, addresses, load))).into())
    }

    /// Stops them; what they saw while the pods of this app were replaced so often.
    pub async fn finish(self, app: ShutdownCase, times: u32) -> Vec<Losses> {
        let mut all = Vec::new();
        for (protocol, fleet) in self.0 {
            let mut figures = fleet.finish().await;
            // Not printed: there are as many lines as there were pods.
            figures.by_pod.clear();
            all.push(Losses { app, protocol, times, figures });
        }
        all
    }
}

/// The results of the clients of one protocol.
#[derive(Clone, Debug, Serialize)]
pub struct Losses {
    /// The app.
    pub app: ShutdownCase,
    protocol: Protocol,
    /// How often its pods were replaced.
    times: u32,
    #[serde(flatten)]
    figures: Figures,
}

impl Losses {
    /// Sorts them, and prints them as a table.
    pub fn print(all: &mut [Self]) {
        all.sort_by_key(|losses| (losses.app, losses.protocol));
        for losses in all {
            println!("{losses}");
        }
    }

    /// Returns the number of requests that failed.
    pub fn failed(&self) -> u64 {
        self.figures.failures()
    }

    /// Returns the number of requests that were answered.
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
