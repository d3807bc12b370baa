//! The attacks beside a legitimate client, and how they are started.

use anyhow::Result;
use clap::ValueEnum;

use super::legitimate::Beside;
use super::silence::Silence;
use super::slowhttptest::{self, Slowhttptest};
use crate::lane::{Lane, Target};
use crate::report::count;

/// An attack beside a legitimate client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Attack {
    /// Heads that never end
    SlowHeads,
    /// Bodies that never end
    SlowBodies,
    /// Heads that ask for thousands of overlapping ranges
    Ranges,
    /// Answers that are read byte by byte
    SlowReading,
    /// Clients that connect and say nothing
    Silence,
}

/// The programs and the numbers of connections.
#[derive(Clone, Debug)]
pub(crate) struct Strength {
    pub(crate) slowhttptest: Slowhttptest,
    /// Clients that send nothing.
    pub(crate) silent: u32,
}

impl Attack {
    /// Returns its name in the tables.
    pub(crate) fn label(self, strength: &Strength) -> String {
        match self {
            Self::SlowHeads => "slow heads (-H)".to_owned(),
            Self::SlowBodies => "slow bodies (-B)".to_owned(),
            Self::Ranges => "ranges (-R)".to_owned(),
            Self::SlowReading => "slow reading (-X)".to_owned(),
            Self::Silence => format!("{} silent connections", count(strength.silent.into())),
        }
    }

    /// Starts the attack, and waits until it has its connections.
    pub(crate) async fn begin(self, lane: &Lane, target: Target, strength: &Strength) -> Result<Box<dyn Beside>> {
        let mode = match self {
            Self::SlowHeads => slowhttptest::SLOW_HEADS,
            Self::SlowBodies => slowhttptest::SLOW_BODIES,
            Self::Ranges => slowhttptest::RANGES,
            Self::SlowReading => slowhttptest::SLOW_READING,
            Self::Silence => return Ok(Box::new(Silence::of(lane, target, strength.silent).await?)),
        };
        Ok(Box::new(mode.begin(lane, target, &strength.slowhttptest).await?))
    }
}
