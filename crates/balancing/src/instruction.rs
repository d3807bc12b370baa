//! The instruction for the pods of one workload, and its JSON.

use std::time::Duration;

use retirement::{Instruction, InvalidInstruction, PodChange, Tolerance};
use serde::Deserialize;
use serde_json::json;

use crate::quantity::{InvalidQuantity, Quantity};
use crate::sequence::Sequence;
use crate::workload::Workload;

/// The longest signed instruction that is read, in bytes. The longest name of a workload fits.
pub const MAX_INSTRUCTION_BYTES: usize = 2048;

/// The interval between two instructions for a workload: 0.1 s to 60 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval(Duration);

impl Interval {
    const LEAST: Duration = Duration::from_millis(100);
    const MOST: Duration = Duration::from_mins(1);
    /// The validity of an instruction in intervals: two in a row may be lost.
    const VALID_FOR: u32 = 3;

    /// The interval while a workload is uneven, or its pods have changed.
    pub const WHILE_LEVELLING: Self = Self(Duration::from_secs(1));
    /// The interval while a workload is level.
    pub const AT_REST: Self = Self(Duration::from_secs(5));
    /// The interval while a workload has no load.
    pub const WITHOUT_LOAD: Self = Self(Duration::from_secs(15));

    /// The longest interval.
    pub const LONGEST: Self = Self(Self::MOST);

    /// Returns the interval, rounded down to milliseconds; `None` if it is outside of 0.1 s to 60 s.
    pub fn new(duration: Duration) -> Option<Self> {
        (Self::LEAST..=Self::MOST).contains(&duration).then(|| Self(whole_milliseconds(duration)))
    }

    /// Returns the interval as a duration.
    pub const fn get(self) -> Duration {
        self.0
    }

    /// Returns how long an instruction stays in force after a proxy has received it: three intervals.
    pub fn validity(self) -> Duration {
        self.0.saturating_mul(Self::VALID_FOR)
    }
}

/// The instruction that the balancer sends to every pod of one workload.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkloadInstruction {
    workload: Workload,
    sequence: Sequence,
    rule: Instruction,
    change: PodChange,
    interval: Interval,
}

/// Why a payload is not an instruction.
#[derive(Debug, thiserror::Error)]
pub enum InvalidMessage {
    /// It is not JSON, lacks a member, or has a member of the wrong type or range.
    #[error("expected an instruction in JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// It has a rate that is negative, above 10¹² or not a number.
    #[error(transparent)]
    Quantity(#[from] InvalidQuantity),
    /// It has a rate that is negative, infinite or not a number.
    #[error(transparent)]
    Rate(#[from] InvalidInstruction),
    /// Its interval, in milliseconds, is out of range. Too long an interval would keep an instruction in force for
    /// ever.
    #[error("expected an interval from 100 to 60000 ms, found {0}")]
    Interval(u64),
}

/// The payload in JSON. Unknown members are ignored, so that later versions of the balancer can add some.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    workload: Workload,
    sequence: Sequence,
    mean: Quantity,
    connection_rate: Quantity,
    since_change_milliseconds: u64,
    /// A balancer of an earlier version does not tell it.
    #[serde(default)]
    pods: u32,
    interval_milliseconds: u64,
}

impl WorkloadInstruction {
    /// Returns an instruction for the pods of `workload`.
    ///
    /// `mean` is the mean load of a pod and `connection_rate` the mean rate of a connection, both in requests per
    /// second. `change` is the last change of the settled pods of the workload, after which the [`Tolerance`] grows.
    ///
    /// # Errors
    /// If a rate is negative, above 10¹² or not a number.
    pub fn new(
        workload: Workload,
        sequence: Sequence,
        [mean, connection_rate]: [f64; 2],
        change: PodChange,
        interval: Interval,
    ) -> Result<Self, InvalidMessage> {
        let (mean, connection_rate) = (Quantity::new(mean)?.get(), Quantity::new(connection_rate)?.get());
        let change = PodChange { ago: whole_milliseconds(change.ago), ..change };
        let rule = Instruction::new(mean, connection_rate, Tolerance::after(change, connection_rate))?;
        Ok(Self { workload, sequence, rule, change, interval })
    }

    /// Returns the workload whose pods it is for.
    pub const fn workload(&self) -> &Workload {
        &self.workload
    }

    /// Returns its sequence number.
    pub const fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// Returns the interval until the next instruction.
    pub const fn interval(&self) -> Interval {
        self.interval
    }

    /// Returns the last change of the settled pods of the workload.
    pub const fn change(&self) -> PodChange {
        self.change
    }

    /// Returns the parameters for the rule of retirement.
    pub const fn rule(&self) -> &Instruction {
        &self.rule
    }

    /// Returns the payload, in JSON.
    pub(crate) fn to_payload(&self) -> Vec<u8> {
        let payload = json!({
            "workload": self.workload.as_str(),
            "sequence": self.sequence.get(),
            "mean": self.rule.mean(),
            "connectionRate": self.rule.connection_rate(),
            "sinceChangeMilliseconds": milliseconds(self.change.ago),
            "pods": self.change.pods,
            "intervalMilliseconds": milliseconds(self.interval.get()),
        });
        payload.to_string().into_bytes()
    }

    /// Parses a payload.
    pub(crate) fn from_payload(bytes: &[u8]) -> Result<Self, InvalidMessage> {
        let payload: Payload = serde_json::from_slice(bytes)?;
        let milliseconds = payload.interval_milliseconds;
        let interval =
            Interval::new(Duration::from_millis(milliseconds)).ok_or(InvalidMessage::Interval(milliseconds))?;
        let change = PodChange { ago: Duration::from_millis(payload.since_change_milliseconds), pods: payload.pods };
        let rates = [payload.mean.get(), payload.connection_rate.get()];
        Self::new(payload.workload, payload.sequence, rates, change, interval)
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn whole_milliseconds(duration: Duration) -> Duration {
    Duration::from_millis(milliseconds(duration))
}
