//! What a balancer tells the pods of a workload.

use std::fmt;
use std::time::Duration;

/// How far above the mean a pod may be before it retires connections for it, as a fraction of the mean.
///
/// 15 % for the first 10 s after the pods of a workload have changed, then one point more each second, up to 50 %. The
/// widening ends a wave: with few and large connections no distribution of them is level, and without it they would
/// reconnect for ever. A skew beyond 50 % is met at any time.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Tolerance(f64);

impl Tolerance {
    const NARROW: f64 = 0.15;
    const NARROW_FOR: f64 = 10.0;
    const WIDENING: f64 = 0.01;
    const WIDE: f64 = 0.5;

    /// Returns the tolerance at a time after the last change of the pods.
    pub fn after(change: Duration) -> Self {
        let widening = (change.as_secs_f64() - Self::NARROW_FOR).max(0.0) * Self::WIDENING;
        Self((Self::NARROW + widening).min(Self::WIDE))
    }

    /// Returns it as a fraction of the mean.
    pub const fn fraction(self) -> f64 {
        self.0
    }
}

/// The mean that the pods of one workload hold themselves against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Instruction {
    mean: f64,
    connection_rate: f64,
    tolerance: Tolerance,
}

/// A number of an instruction that is no rate: negative, infinite or not a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InvalidInstruction(f64);

impl fmt::Display for InvalidInstruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is no rate: expected a finite number of requests per second, 0 or more", self.0)
    }
}

impl std::error::Error for InvalidInstruction {}

impl Instruction {
    /// Returns the instruction for a mean load of a pod and a mean rate of a connection, both in requests per second.
    ///
    /// # Errors
    /// A rate that is negative, infinite or not a number.
    pub fn new(mean: f64, connection_rate: f64, tolerance: Tolerance) -> Result<Self, InvalidInstruction> {
        for rate in [mean, connection_rate] {
            if !rate.is_finite() || rate < 0.0 {
                return Err(InvalidInstruction(rate));
            }
        }
        Ok(Self { mean, connection_rate, tolerance })
    }

    /// Returns the mean load of the settled pods, in requests per second.
    pub const fn mean(&self) -> f64 {
        self.mean
    }

    /// Returns the mean rate of a connection of the workload, in requests per second: the prior of every estimate.
    pub const fn connection_rate(&self) -> f64 {
        self.connection_rate
    }

    /// Returns the load above which a pod retires connections, in requests per second.
    pub fn threshold(&self) -> f64 {
        self.mean * (1.0 + self.tolerance.fraction())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tolerance_widens_after_ten_seconds_and_stops_at_half() {
        for (seconds, percent) in [(0, 15), (10, 15), (11, 16), (20, 25), (45, 50), (46, 50), (u64::MAX, 50)] {
            let fraction = Tolerance::after(Duration::from_secs(seconds)).fraction();
            assert!((fraction * 100.0 - f64::from(percent)).abs() < 1e-9, "{seconds} s: {fraction}");
        }
    }

    #[test]
    fn a_number_that_is_no_rate_is_refused() {
        let tolerance = Tolerance::after(Duration::ZERO);
        for bad in [-1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(Instruction::new(bad, 1.0, tolerance).is_err());
            assert!(Instruction::new(1.0, bad, tolerance).is_err());
        }
        assert!(Instruction::new(0.0, 0.0, tolerance).is_ok());
    }
}
