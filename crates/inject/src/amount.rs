//! Amounts of CPU and memory as Kubernetes writes them.

use std::fmt;

use serde_json::Value;

/// An amount of a resource, in thousandths of its unit: a CPU, or a byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(u64);

/// A resource that containers ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// CPU time.
    Cpu,
    /// Memory.
    Memory,
}

/// The suffixes of a `resource.Quantity`, by what they multiply with.
const BINARY: &[(&str, u32)] = &[("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];
/// Decimal ones, as powers of ten of a thousandth.
const DECIMAL: &[(&str, i32)] =
    &[("n", -6), ("u", -3), ("m", 0), ("k", 6), ("M", 9), ("G", 12), ("T", 15), ("P", 18), ("E", 21), ("", 3)];

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    pub(crate) const fn of_millicpus(millicpus: u32) -> Self {
        Self(millicpus as u64)
    }

    pub(crate) const fn of_mebibytes(mebibytes: u32) -> Self {
        Self(mebibytes as u64 * 1024 * 1024 * 1000)
    }

    /// The amount that a member of `requests`, `limits` or `hard` has; `None` where it is none.
    ///
    /// Parts of a thousandth count as a whole one, as they do where API servers compare. What is too large for a number is the
    /// largest.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::parse(text),
            Value::Number(number) => Self::parse(&number.to_string()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let number = text.trim_start_matches('+');
        let end = number.find(|character: char| !character.is_ascii_digit() && character != '.');
        let (digits, suffix) = number.split_at(end.unwrap_or(number.len()));
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && part.is_empty() || part.contains('.') {
            return None;
        }
        // Trailing zeros of the part say nothing and would count as digits.
        let part = part.trim_end_matches('0');
        let mantissa = format!("{whole}{part}");
        let mantissa = mantissa.trim_start_matches('0');
        if mantissa.is_empty() {
            return known(suffix).then_some(Self::ZERO);
        }
        // More digits than that are more than any machine has.
        let Ok(mantissa) = mantissa.parse::<u128>() else { return known(suffix).then_some(Self(u64::MAX)) };
        let places = i32::try_from(part.len()).ok()?;
        if let Some((_, power)) = BINARY.iter().find(|(name, _)| *name == suffix) {
            return Some(scaled(mantissa.saturating_mul(1 << power), 3 - places));
        }
        Some(scaled(mantissa, exponent(suffix)?.saturating_sub(places)))
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Zero where `other` is more.
    pub(crate) fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    pub(crate) fn of_all(self, replicas: u64) -> Self {
        Self(self.0.saturating_mul(replicas))
    }

    /// So many times the amount; parts are dropped.
    pub(crate) fn times(self, ratio: Ratio) -> Self {
        Self(u64::try_from(u128::from(self.0) * u128::from(ratio.0.0) / 1000).unwrap_or(u64::MAX))
    }

    /// The least amount that is this one when taken so many times.
    pub(crate) fn divided(self, ratio: Ratio) -> Self {
        let ratio = u128::from(ratio.0.0.max(1));
        Self(u64::try_from((u128::from(self.0) * 1000).div_ceil(ratio)).unwrap_or(u64::MAX))
    }

    /// A whole number of MiB for memory, or what is nearest; for CPU the same.
    pub(crate) fn rounded_up(self, resource: Resource) -> Self {
        let step = resource.step();
        Self(self.0.div_ceil(step).saturating_mul(step))
    }

    /// The same, never above this amount.
    pub(crate) fn rounded_down(self, resource: Resource) -> Self {
        Self(self.0 - self.0 % resource.step())
    }

    /// As it is written in a manifest.
    pub(crate) fn written(self, resource: Resource) -> String {
        match resource {
            Resource::Cpu if self.0.is_multiple_of(1000) => (self.0 / 1000).to_string(),
            Resource::Cpu => format!("{}m", self.0),
            Resource::Memory => {
                let bytes = self.0.div_ceil(1000);
                let units = [(1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")];
                let unit = units.iter().find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit));
                unit.map_or_else(|| bytes.to_string(), |(unit, name)| format!("{}{name}", bytes / unit))
            }
        }
    }
}

impl Resource {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Cpu, Self::Memory];

    /// Its name in manifests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
        }
    }

    /// The least amount that can be asked for.
    pub(crate) const fn unit(self) -> Amount {
        match self {
            Self::Cpu => Amount(1),
            Self::Memory => Amount(1000),
        }
    }

    const fn step(self) -> u64 {
        match self {
            Self::Cpu => 1,
            Self::Memory => 1024 * 1024 * 1000,
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How many times a request a limit may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ratio(pub(crate) Amount);

/// The power of ten of a thousandth that a decimal suffix or exponent means.
fn exponent(suffix: &str) -> Option<i32> {
    if let Some((_, power)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Some(*power);
    }
    let power: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    Some(power.saturating_add(3))
}

fn known(suffix: &str) -> bool {
    BINARY.iter().any(|(name, _)| *name == suffix) || exponent(suffix).is_some()
}

/// `mantissa` times ten to the `power`, rounded up.
fn scaled(mantissa: u128, power: i32) -> Amount {
    let factor = 10u128.checked_pow(power.unsigned_abs());
    let thousandths = match factor {
        Some(factor) if power < 0 => mantissa.div_ceil(factor),
        None if power < 0 => 1,
        Some(factor) => mantissa.saturating_mul(factor),
        None => u128::MAX,
    };
    Amount(u64::try_from(thousandths).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn amounts_are_read_as_api_servers_read_them() {
        for (value, thousandths) in [
            (json!("0"), Some(0)),
            (json!("0.0"), Some(0)),
            (json!("10m"), Some(10)),
            (json!("1"), Some(1000)),
            (json!(2), Some(2000)),
            (json!(0.5), Some(500)),
            (json!("0.5"), Some(500)),
            (json!(".5"), Some(500)),
            (json!("1."), Some(1000)),
            (json!("+1"), Some(1000)),
            (json!("1500u"), Some(2)),
            (json!("1n"), Some(1)),
            (json!("1e3"), Some(1_000_000)),
            (json!("1E-1"), Some(100)),
            (json!("1k"), Some(1_000_000)),
            (json!("1Ki"), Some(1_024_000)),
            (json!("1.5Gi"), Some(1_610_612_736_000)),
            (json!("100M"), Some(100_000_000_000)),
            (json!("9999999999E"), Some(u64::MAX)),
            (json!("1e999"), Some(u64::MAX)),
            (json!("99999999999999999999999999999999999999999999"), Some(u64::MAX)),
            (json!(""), None),
            (json!("."), None),
            (json!("1.2.3"), None),
            (json!("-1"), None),
            (json!("1 "), None),
            (json!("1mi"), None),
            (json!("m"), None),
            (json!(null), None),
            (json!({}), None),
        ] {
            assert_eq!(Amount::of(&value), thousandths.map(Amount), "{value}");
        }
    }

    #[test]
    fn amounts_are_written_shortly() {
        for (text, resource, written) in [
            ("1000m", Resource::Cpu, "1"),
            ("10m", Resource::Cpu, "10m"),
            ("0", Resource::Cpu, "0"),
            ("2048Mi", Resource::Memory, "2Gi"),
            ("1.5Gi", Resource::Memory, "1536Mi"),
            ("16777216", Resource::Memory, "16Mi"),
            ("100M", Resource::Memory, "100000000"),
            ("0", Resource::Memory, "0"),
        ] {
            assert_eq!(Amount::parse(text).unwrap().written(resource), written, "{text}");
        }
    }

    #[test]
    fn a_ratio_holds_both_ways() {
        let ratio = |text: &str| Ratio(Amount::parse(text).unwrap());
        assert_eq!(Amount(10).times(ratio("10")), Amount(100));
        assert_eq!(Amount(10).times(ratio("1.5")), Amount(15));
        assert_eq!(Amount(100).divided(ratio("3")), Amount(34));
        assert!(Amount(100).divided(ratio("3")).times(ratio("3")) >= Amount(100));
        assert_eq!(Amount(7).divided(ratio("0")), Amount(7000));
    }

    #[test]
    fn memory_comes_in_mebibytes() {
        let memory = Amount::parse("100M").unwrap();
        assert_eq!(memory.rounded_down(Resource::Memory).written(Resource::Memory), "95Mi");
        assert_eq!(memory.rounded_up(Resource::Memory).written(Resource::Memory), "96Mi");
        assert_eq!(Amount(7).rounded_up(Resource::Cpu), Amount(7));
    }
}
