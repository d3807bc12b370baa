//! The part of Kubernetes' `resource.Quantity` that makes sense for a sidecar's CPU and memory.

use std::fmt;
use std::str::FromStr;

use super::InvalidValue;

/// CPU time: whole or milli CPUs from `1m` to `64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CpuQuantity {
    millicpus: u32,
}

impl CpuQuantity {
    /// Thousandths of a CPU.
    pub const fn millicpus(self) -> u32 {
        self.millicpus
    }
}

impl FromStr for CpuQuantity {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let (number, unit) = text.strip_suffix('m').map_or((text, 1000), |number| (number, 1));
        scaled(number, unit, 64_000)
            .and_then(|millicpus| u32::try_from(millicpus).ok())
            .map(|millicpus| Self { millicpus })
            .ok_or(InvalidValue("an amount of CPU from 1m to 64, such as 10m or 2"))
    }
}

impl fmt::Display for CpuQuantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.millicpus.is_multiple_of(1000) {
            write!(f, "{}", self.millicpus / 1000)
        } else {
            write!(f, "{}m", self.millicpus)
        }
    }
}

/// Memory from `1Mi` to `64Gi`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemoryQuantity {
    mebibytes: u32,
}

impl MemoryQuantity {
    /// Returns so many MiB.
    pub(crate) const fn of_mebibytes(mebibytes: u32) -> Self {
        Self { mebibytes }
    }

    /// Returns the amount in MiB.
    pub const fn mebibytes(self) -> u32 {
        self.mebibytes
    }
}

impl FromStr for MemoryQuantity {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let mebibytes = if let Some(number) = text.strip_suffix("Mi") {
            scaled(number, 1, 64 * 1024)
        } else {
            text.strip_suffix("Gi").and_then(|number| scaled(number, 1024, 64 * 1024))
        };
        mebibytes
            .and_then(|mebibytes| u32::try_from(mebibytes).ok())
            .map(|mebibytes| Self { mebibytes })
            .ok_or(InvalidValue("an amount of memory from 1Mi to 64Gi, such as 16Mi"))
    }
}

impl fmt::Display for MemoryQuantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.mebibytes.is_multiple_of(1024) {
            write!(f, "{}Gi", self.mebibytes / 1024)
        } else {
            write!(f, "{}Mi", self.mebibytes)
        }
    }
}

/// Returns a whole number of `unit`s between 1 and `most`.
fn scaled(number: &str, unit: u64, most: u64) -> Option<u64> {
    let plain = number.bytes().all(|b| b.is_ascii_digit()) && !number.starts_with('0');
    let number: u64 = plain.then(|| number.parse().ok()).flatten()?;
    number.checked_mul(unit).filter(|amount| *amount <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_quantities_are_whole_millicores() {
        for (text, shown) in [("1m", "1m"), ("10m", "10m"), ("1000m", "1"), ("64", "64")] {
            assert_eq!(text.parse::<CpuQuantity>().unwrap().to_string(), shown);
        }
        for bad in ["", "m", "0", "0m", "65", "64001m", "0.5", "1e3", "-1", "10M", "1 "] {
            assert!(bad.parse::<CpuQuantity>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn memory_quantities_are_whole_mebibytes() {
        for (text, shown) in [("1Mi", "1Mi"), ("1024Mi", "1Gi"), ("64Gi", "64Gi")] {
            assert_eq!(text.parse::<MemoryQuantity>().unwrap().to_string(), shown);
        }
        for bad in ["", "Mi", "0Mi", "65Gi", "16", "16M", "16777216", "1.5Gi", "18446744073709551615Gi"] {
            assert!(bad.parse::<MemoryQuantity>().is_err(), "{bad:?}");
        }
    }
}
