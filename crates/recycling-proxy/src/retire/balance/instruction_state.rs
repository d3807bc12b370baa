//! The instruction that a pod follows, if any.

use std::time::Duration;

use balancing::{BalanceState, WorkloadInstruction};
use retirement::Instruction;
use tokio::time::Instant;

/// How long a mean is used at most: three intervals of 5 s. If load rises everywhere, every pod is above an old mean,
/// and none should retire connections for that.
const MEAN_VALIDITY: Duration = Duration::from_secs(15);

/// The instruction that a pod follows.
///
/// ```text
///                 instruction                 three intervals without another
///  NoInstruction ─────────────▶ InForce ──────────────────────────────────────▶ Expired
///                                ▲   │                                             │
///                    instruction └───┘◀──────────────── instruction ───────────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum InstructionState {
    /// No instruction has arrived.
    NoInstruction,
    /// This instruction is in force.
    InForce {
        /// Its parameters.
        rule: Instruction,
        /// The time from which no connection is retired by its mean; not after `until`.
        mean_until: Instant,
        /// The time from which it is not in force, by the proxy's clock.
        until: Instant,
    },
    /// The last instruction is too old.
    Expired {
        /// Its parameters. Its mean rate of a connection remains the best estimate.
        rule: Instruction,
    },
}

impl InstructionState {
    /// Returns the instruction after an instruction has come at `now`.
    pub(super) fn taking(instruction: &WorkloadInstruction, now: Instant) -> Self {
        let validity = instruction.interval().validity();
        // An interval is at most a minute.
        let after = |time| now.checked_add(time).unwrap_or(now);
        Self::InForce {
            rule: *instruction.rule(),
            mean_until: after(validity.min(MEAN_VALIDITY)),
            until: after(validity),
        }
    }

    /// Returns the instruction at `now`.
    pub(super) fn at(self, now: Instant) -> Self {
        match self {
            Self::InForce { rule, until, .. } if now >= until => Self::Expired { rule },
            Self::NoInstruction | Self::InForce { .. } | Self::Expired { .. } => self,
        }
    }

    /// Returns the parameters that are in force.
    pub(super) const fn in_force(&self) -> Option<&Instruction> {
        match self {
            Self::InForce { rule, .. } => Some(rule),
            Self::NoInstruction | Self::Expired { .. } => None,
        }
    }

    /// Returns the parameters by which connections are retired at `now`.
    pub(super) fn rule(&self, now: Instant) -> Option<&Instruction> {
        match self {
            Self::InForce { rule, mean_until, .. } if now < *mean_until => Some(rule),
            Self::NoInstruction | Self::InForce { .. } | Self::Expired { .. } => None,
        }
    }

    /// Returns the mean rate of a connection in the last instruction, in requests per second.
    pub(super) const fn connection_rate(&self) -> Option<f64> {
        match self {
            Self::InForce { rule, .. } | Self::Expired { rule } => Some(rule.connection_rate()),
            Self::NoInstruction => None,
        }
    }

    /// Returns the state for reports and metrics.
    pub(super) const fn state(&self) -> BalanceState {
        match self {
            Self::NoInstruction => BalanceState::NoInstruction,
            Self::InForce { .. } => BalanceState::InForce,
            Self::Expired { .. } => BalanceState::Expired,
        }
    }
}

#[cfg(test)]
mod tests {
    use balancing::{Interval, PodChange, Sequence};

    use super::*;

    fn every(interval: Duration) -> WorkloadInstruction {
        let (workload, interval) = ("shop/Deployment/web".parse().unwrap(), Interval::new(interval).unwrap());
        WorkloadInstruction::new(workload, Sequence::MIN, [10.0, 0.5], PodChange::default(), interval).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_mean_is_used_for_at_most_fifteen_seconds() {
        let now = Instant::now();
        for (interval, counts_for) in [(1, 3), (5, 15), (15, 15), (60, 15)] {
            let instruction = InstructionState::taking(&every(Duration::from_secs(interval)), now);
            for (millis, counts) in [(0, true), (counts_for * 1000 - 1, true), (counts_for * 1000, false)] {
                let at = now + Duration::from_millis(millis);
                assert_eq!(instruction.at(at).rule(at).is_some(), counts, "{interval} s, after {millis} ms");
            }
            let at = now + Duration::from_secs(interval * 3) - Duration::from_millis(1);
            assert!(instruction.at(at).in_force().is_some(), "no limit of requests comes in its place");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_instruction_is_in_force_for_three_intervals() {
        let now = Instant::now();
        assert_eq!(InstructionState::NoInstruction.at(now + Duration::from_secs(99)), InstructionState::NoInstruction);
        let taken = InstructionState::taking(&every(Duration::from_secs(2)), now);
        for (millis, state) in [
            (0, BalanceState::InForce),
            (5_999, BalanceState::InForce),
            (6_000, BalanceState::Expired),
            (99_000, BalanceState::Expired),
        ] {
            let instruction = taken.at(now + Duration::from_millis(millis));
            assert_eq!(instruction.state(), state, "{millis}");
            assert_eq!(instruction.in_force().is_some(), state == BalanceState::InForce, "{millis}");
            assert_eq!(instruction.connection_rate(), Some(0.5));
        }
        assert_eq!(InstructionState::NoInstruction.connection_rate(), None);
    }
}
