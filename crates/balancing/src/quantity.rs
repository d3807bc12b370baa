//! The numbers in reports and instructions.

use serde::{Deserialize, Serialize};

/// The largest quantity: more than any pod can serve, and small enough that the sum of a million of them is exact
/// enough.
const MOST: f64 = 1e12;

/// A finite number from 0 to 10¹²: a rate in requests per second, a time in seconds, a number of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Quantity(f64);

/// A number that is negative, above 10¹², infinite or not a number.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("expected a number from 0 to 10^12, found {0}")]
pub struct InvalidQuantity(f64);

impl Quantity {
    /// Zero.
    pub const ZERO: Self = Self(0.0);

    /// Returns a number as a quantity.
    ///
    /// # Errors
    /// If the number is outside of the range or not a number.
    pub fn new(number: f64) -> Result<Self, InvalidQuantity> {
        // -0.0 is in the range; `abs` makes it 0.0, which is printed without a sign.
        if (0.0..=MOST).contains(&number) { Ok(Self(number.abs())) } else { Err(InvalidQuantity(number)) }
    }

    /// Returns the number.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Quantity {
    type Error = InvalidQuantity;

    fn try_from(number: f64) -> Result<Self, InvalidQuantity> {
        Self::new(number)
    }
}

impl From<Quantity> for f64 {
    fn from(quantity: Quantity) -> Self {
        quantity.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_finite_bounded_quantities_are_accepted() {
        for good in [0.0, -0.0, f64::MIN_POSITIVE, 0.1, 1e12] {
            assert!(Quantity::new(good).is_ok_and(|quantity| quantity.get().is_sign_positive()), "{good}");
        }
        for bad in [-1e-300, -1.0, 1.1e12, 1e308, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            assert!(Quantity::new(bad).is_err(), "{bad}");
        }
    }
}
