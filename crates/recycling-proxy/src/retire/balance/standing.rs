//! Which instruction a pod follows, if any.

use balancing::{BalanceState, WorkloadInstruction};
use retirement::Instruction;
use tokio::time::Instant;

/// Which instruction a pod follows.
///
/// ```text
///                 instruction                 three intervals without another
///  NoInstruction ─────────────▶ InForce ──────────────────────────────────────▶ Expired
///                                ▲   │                                             │
///                    instruction └───┘◀──────────────── instruction ───────────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Standing {
    /// None has come.
    NoInstruction,
    /// This one, before that time of our own clock.
    InForce {
        /// What it says.
        rule: Instruction,
        /// From then on it is followed no more.
        until: Instant,
    },
    /// None: the last one is too old.
    Expired {
        /// What it said. Its mean rate of a connection is still the best that is known.
        rule: Instruction,
    },
}

impl Standing {
    /// Returns the standing after an instruction has come at `now`.
    pub(super) fn taking(instruction: &WorkloadInstruction, now: Instant) -> Self {
        let validity = instruction.interval().validity();
        // An interval is at most a minute.
        let until = now.checked_add(validity).unwrap_or(now);
        Self::InForce { rule: *instruction.rule(), until }
    }

    /// Returns the standing at `now`.
    pub(super) fn at(self, now: Instant) -> Self {
        match self {
            Self::InForce { rule, until } if now >= until => Self::Expired { rule },
            Self::NoInstruction | Self::InForce { .. } | Self::Expired { .. } => self,
        }
    }

    /// Returns what is to be followed.
    pub(super) const fn in_force(&self) -> Option<&Instruction> {
        match self {
            Self::InForce { rule, .. } => Some(rule),
            Self::NoInstruction | Self::Expired { .. } => None,
        }
    }

    /// Returns the mean rate of a connection of the workload that was last told.
    pub(super) const fn connection_rate(&self) -> Option<f64> {
        match self {
            Self::InForce { rule, .. } | Self::Expired { rule } => Some(rule.connection_rate()),
            Self::NoInstruction => None,
        }
    }

    /// Returns the word for it.
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
    use std::time::Duration;

    use balancing::{Interval, Sequence};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_instruction_lasts_for_three_intervals() {
        let interval = Interval::new(Duration::from_secs(2)).unwrap();
        let workload = "shop/Deployment/web".parse().unwrap();
        let instruction =
            WorkloadInstruction::new(workload, Sequence::MIN, [10.0, 0.5], Duration::ZERO, interval).unwrap();
        let now = Instant::now();
        assert_eq!(Standing::NoInstruction.at(now + Duration::from_secs(99)), Standing::NoInstruction);
        let taken = Standing::taking(&instruction, now);
        for (millis, state) in [
            (0, BalanceState::InForce),
            (5_999, BalanceState::InForce),
            (6_000, BalanceState::Expired),
            (99_000, BalanceState::Expired),
        ] {
            let standing = taken.at(now + Duration::from_millis(millis));
            assert_eq!(standing.state(), state, "{millis}");
            assert_eq!(standing.in_force().is_some(), state == BalanceState::InForce, "{millis}");
            assert_eq!(standing.connection_rate(), Some(0.5));
        }
        assert_eq!(Standing::NoInstruction.connection_rate(), None);
    }
}
