//! The parameters that a balancer sends to the pods of a workload: their mean load and the tolerance above it.

use std::fmt;
use std::time::Duration;

/// The last change of the settled pods of a workload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PodChange {
    /// The time since the change.
    pub ago: Duration,
    /// The number of settled pods since the change.
    pub pods: u32,
}

/// The load above the mean at which a pod starts to retire connections, as a fraction of the mean.
///
/// After a change of the workload's pods it is 15 %, then it grows by one percentage point per second, to 50 %. Growth
/// bounds the number of reconnects: with few connections of large rates no distribution is level, and they would
/// reconnect for ever. The price is that a pod with up to 1.5 times the mean stays as it is; a greater load is reduced
/// at any time.
///
/// It stays at 15 % for 25 s, the time in which an average connection carries 5 requests, and 5 s for each doubling of
/// the pods beyond eight; at most for 60 s. Connections move in several rounds: a retired connection lands on a random
/// pod, and that pod can estimate its rate only after some requests. The rarer requests are, the longer a round takes.
/// Each round leaves a part of the pods above the tolerance, so that more pods need more rounds. If the tolerance grew
/// before the last round, an uneven distribution would remain.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Tolerance(f64);

impl Tolerance {
    const NARROW: f64 = 0.15;
    const NARROW_FOR: f64 = 25.0;
    const NARROW_FOR_REQUESTS: f64 = 5.0;
    const NARROW_FOR_DOUBLING: f64 = 5.0;
    /// Up to so many pods the seconds above are enough.
    const FEW_PODS: f64 = 8.0;
    const NARROW_AT_MOST: f64 = 60.0;
    const WIDENING: f64 = 0.01;
    const WIDE: f64 = 0.5;

    /// Returns the tolerance after the last change of the pods. `connection_rate` is the mean rate of a connection of the
    /// workload, in requests per second.
    pub fn after(change: PodChange, connection_rate: f64) -> Self {
        let doublings = (f64::from(change.pods) / Self::FEW_PODS).log2().max(0.0);
        let narrow_for =
            Self::NARROW_FOR + Self::NARROW_FOR_DOUBLING * doublings + Self::NARROW_FOR_REQUESTS / connection_rate;
        // Without load the quotient is infinite or NaN, and `min` returns the bound.
        let widening = (change.ago.as_secs_f64() - narrow_for.min(Self::NARROW_AT_MOST)).max(0.0) * Self::WIDENING;
        Self((Self::NARROW + widening).min(Self::WIDE))
    }

    /// Returns the tolerance as a fraction of the mean, 0.15 to 0.5.
    pub const fn fraction(self) -> f64 {
        self.0
    }
}

/// The mean load of the pods of one workload, and the tolerance above it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Instruction {
    mean: f64,
    connection_rate: f64,
    tolerance: Tolerance,
}

/// A number that cannot be a rate: negative, infinite or not a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InvalidInstruction(f64);

impl fmt::Display for InvalidInstruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not a rate: expected a finite number of requests per second, 0 or more", self.0)
    }
}

impl std::error::Error for InvalidInstruction {}

impl Instruction {
    /// Returns an instruction. `mean` is the mean load of a pod and `connection_rate` the mean rate of a connection,
    /// both in requests per second.
    ///
    /// # Errors
    /// If one of them is negative, infinite or not a number.
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

    /// Returns the mean rate of a connection of the workload, in requests per second. It is the prior of every
    /// estimate.
    pub const fn connection_rate(&self) -> f64 {
        self.connection_rate
    }

    /// Returns the load above which a pod retires connections, in requests per second: the mean and the tolerance.
    pub fn threshold(&self) -> f64 {
        self.mean * (1.0 + self.tolerance.fraction())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tolerance_widens_after_some_rounds_and_stops_at_half() {
        for (rate, seconds, percent) in [
            (1.0, 0, 15),
            (1.0, 30, 15),
            (1.0, 31, 16),
            (1.0, 40, 25),
            (1.0, 65, 50),
            (1.0, 66, 50),
            (1.0, u64::MAX, 50),
            // Each round is longer where requests are rare.
            (0.2, 50, 15),
            (0.2, 51, 16),
            (0.01, 60, 15),
            (0.01, 61, 16),
            (0.0, 60, 15),
            (0.0, 61, 16),
            (f64::NAN, 61, 16),
        ] {
            assert_eq!(percent_after(seconds, 8, rate), percent, "{rate}/s, {seconds} s");
        }
    }

    fn percent_after(seconds: u64, pods: u32, rate: f64) -> u32 {
        let ago = Duration::from_secs(seconds);
        let percent = Tolerance::after(PodChange { ago, pods }, rate).fraction() * 100.0;
        (0..=100).find(|whole| (percent - f64::from(*whole)).abs() < 1e-9).unwrap()
    }

    #[test]
    fn more_pods_have_more_rounds() {
        for (pods, narrow_for) in [(0, 30), (1, 30), (8, 30), (16, 35), (64, 45), (128, 50), (512, 60), (u32::MAX, 60)]
        {
            let percents = [narrow_for, narrow_for + 1].map(|seconds| percent_after(seconds, pods, 1.0));
            assert_eq!(percents, [15, 16], "{pods} pods");
        }
    }

    #[test]
    fn negative_and_non_finite_rates_are_refused() {
        let tolerance = Tolerance::after(PodChange::default(), 1.0);
        for bad in [-1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(Instruction::new(bad, 1.0, tolerance).is_err());
            assert!(Instruction::new(1.0, bad, tolerance).is_err());
        }
        assert!(Instruction::new(0.0, 0.0, tolerance).is_ok());
    }
}
