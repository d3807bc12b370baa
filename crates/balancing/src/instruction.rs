//! An instruction for one workload, as it travels.

use std::time::Duration;

use retirement::{Instruction, InvalidInstruction, Tolerance};
use serde::Deserialize;
use serde_json::json;

use crate::quantity::{InvalidQuantity, Quantity};
use crate::sequence::Sequence;
use crate::workload::Workload;

/// The longest signed instruction, in bytes. The longest workload leaves room.
pub const MAX_INSTRUCTION_BYTES: usize = 2048;

/// How often the balancer sends an instruction: 0.1 s to 60 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval(Duration);

impl Interval {
    const LEAST: Duration = Duration::from_millis(100);
    const MOST: Duration = Duration::from_mins(1);
    /// Two instructions may be lost before the rule rests.
    const VALID_FOR: u32 = 3;

    /// While a workload levels, or has just changed.
    pub const IN_A_WAVE: Self = Self(Duration::from_secs(1));
    /// While a workload is level.
    pub const AT_REST: Self = Self(Duration::from_secs(5));
    /// While a workload has no load.
    pub const WITHOUT_LOAD: Self = Self(Duration::from_secs(15));

    /// The longest.
    pub const LONGEST: Self = Self(Self::MOST);

    /// Returns the interval of a duration, in whole milliseconds; `None` outside of 0.1 s to 60 s.
    pub fn new(duration: Duration) -> Option<Self> {
        (Self::LEAST..=Self::MOST).contains(&duration).then(|| Self(whole_milliseconds(duration)))
    }

    /// Returns its duration.
    pub const fn get(self) -> Duration {
        self.0
    }

    /// Returns how long an instruction stays in force after a proxy has received it: three intervals.
    pub fn validity(self) -> Duration {
        self.0.saturating_mul(Self::VALID_FOR)
    }
}

/// What the balancer tells every pod of one workload.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkloadInstruction {
    workload: Workload,
    sequence: Sequence,
    rule: Instruction,
    since_change: Duration,
    interval: Interval,
}

/// A payload that is no instruction.
#[derive(Debug, thiserror::Error)]
pub enum InvalidMessage {
    /// It is no JSON, or lacks a member, or has one of the wrong type or range.
    #[error("expected an instruction in JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// It has a number that is no rate.
    #[error(transparent)]
    Quantity(#[from] InvalidQuantity),
    /// It has a number that is no rate.
    #[error(transparent)]
    Rate(#[from] InvalidInstruction),
    /// A time without end would keep an instruction in force for ever.
    #[error("expected an interval from 100 to 60000 ms, found {0}")]
    Interval(u64),
}

/// The payload in JSON. An unknown member is ignored, so that a later balancer may add one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    workload: Workload,
    sequence: Sequence,
    mean: Quantity,
    connection_rate: Quantity,
    since_change_milliseconds: u64,
    interval_milliseconds: u64,
}

impl WorkloadInstruction {
    /// Returns the instruction that makes the pods of `workload` hold themselves against `mean`.
    ///
    /// `mean` is the load of a pod, `connection_rate` that of a connection, both in requests per second; `since_change` is the
    /// time since the settled pods of the workload changed, by which the tolerance widens.
    ///
    /// # Errors
    /// A rate that is negative, above 10¹² or no number.
    pub fn new(
        workload: Workload,
        sequence: Sequence,
        [mean, connection_rate]: [f64; 2],
        since_change: Duration,
        interval: Interval,
    ) -> Result<Self, InvalidMessage> {
        let (mean, connection_rate) = (Quantity::new(mean)?.get(), Quantity::new(connection_rate)?.get());
        let since_change = whole_milliseconds(since_change);
        let rule = Instruction::new(mean, connection_rate, Tolerance::after(since_change, connection_rate))?;
        Ok(Self { workload, sequence, rule, since_change, interval })
    }

    /// Returns the workload that it is for.
    pub const fn workload(&self) -> &Workload {
        &self.workload
    }

    /// Returns its sequence number.
    pub const fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// Returns the interval at which instructions come.
    pub const fn interval(&self) -> Interval {
        self.interval
    }

    /// Returns the time since the settled pods of the workload changed.
    pub const fn since_change(&self) -> Duration {
        self.since_change
    }

    /// Returns the numbers for the rule of retirement.
    pub const fn rule(&self) -> &Instruction {
        &self.rule
    }

    /// Returns the bytes that are signed.
    pub(crate) fn to_payload(&self) -> Vec<u8> {
        let payload = json!({
            "workload": self.workload.as_str(),
            "sequence": self.sequence.get(),
            "mean": self.rule.mean(),
            "connectionRate": self.rule.connection_rate(),
            "sinceChangeMilliseconds": milliseconds(self.since_change),
            "intervalMilliseconds": milliseconds(self.interval.get()),
        });
        payload.to_string().into_bytes()
    }

    /// Reads the bytes that were signed.
    pub(crate) fn from_payload(bytes: &[u8]) -> Result<Self, InvalidMessage> {
        let payload: Payload = serde_json::from_slice(bytes)?;
        let milliseconds = payload.interval_milliseconds;
        let interval =
            Interval::new(Duration::from_millis(milliseconds)).ok_or(InvalidMessage::Interval(milliseconds))?;
        let since_change = Duration::from_millis(payload.since_change_milliseconds);
        let rates = [payload.mean.get(), payload.connection_rate.get()];
        Self::new(payload.workload, payload.sequence, rates, since_change, interval)
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn whole_milliseconds(duration: Duration) -> Duration {
    Duration::from_millis(milliseconds(duration))
}
