//! Quantities of CPU and memory, as Kubernetes writes them.

use std::fmt;

use serde_json::Value;

/// A quantity of a resource (`resource.Quantity`), in thousandths of its unit: a CPU, or a byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(u64);

/// A resource that containers request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// CPU time.
    Cpu,
    /// Memory.
    Memory,
}

/// Binary suffixes of a `resource.Quantity`, as powers of two.
const BINARY: &[(&str, u32)] = &[("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];
/// Decimal suffixes, as powers of ten of a thousandth.
const DECIMAL: &[(&str, i32)] =
    &[("n", -6), ("u", -3), ("m", 0), ("k", 6), ("M", 9), ("G", 12), ("T", 15), ("P", 18), ("E", 21), ("", 3)];

impl Quantity {
    /// Zero.
    pub const ZERO: Self = Self(0);

    pub(crate) const fn of_millicpus(millicpus: u32) -> Self {
        Self(millicpus as u64)
    }

    pub(crate) const fn of_mebibytes(mebibytes: u32) -> Self {
        Self(mebibytes as u64 * 1024 * 1024 * 1000)
    }

    /// Reads a value of `requests`, `limits` or `hard`; `None` if it is not a quantity.
    ///
    /// A fraction of a thousandth is rounded up, as API servers do before they compare. A value that is too large is
    /// `u64::MAX`.
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
        // Trailing zeros of the fraction would count as digits.
        let part = part.trim_end_matches('0');
        let mantissa = format!("{whole}{part}");
        let mantissa = mantissa.trim_start_matches('0');
        if mantissa.is_empty() {
            return known(suffix).then_some(Self::ZERO);
        }
        // A number with more digits is larger than any machine.
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

    /// Saturates at zero.
    pub(crate) fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    pub(crate) fn of_all(self, replicas: u64) -> Self {
        Self(self.0.saturating_mul(replicas))
    }

    /// Returns the quantity multiplied by the ratio, rounded down.
    pub(crate) fn times(self, ratio: Ratio) -> Self {
        Self(u64::try_from(u128::from(self.0) * u128::from(ratio.0.0) / 1000).unwrap_or(u64::MAX))
    }

    /// Returns the smallest quantity that is at least this one when multiplied by the ratio.
    pub(crate) fn divided(self, ratio: Ratio) -> Self {
        let ratio = u128::from(ratio.0.0.max(1));
        Self(u64::try_from((u128::from(self.0) * 1000).div_ceil(ratio)).unwrap_or(u64::MAX))
    }

    /// Rounds memory up to a whole number of MiB; CPU stays.
    pub(crate) fn rounded_up(self, resource: Resource) -> Self {
        let step = resource.step();
        Self(self.0.div_ceil(step).saturating_mul(step))
    }

    /// Rounds memory down to a whole number of MiB; CPU stays.
    pub(crate) fn rounded_down(self, resource: Resource) -> Self {
        Self(self.0 - self.0 % resource.step())
    }

    /// Returns the text for a manifest.
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
    /// All resources.
    pub const ALL: [Self; 2] = [Self::Cpu, Self::Memory];

    /// Returns its name in manifests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
        }
    }

    /// Returns the smallest request above zero.
    pub(crate) const fn unit(self) -> Quantity {
        match self {
            Self::Cpu => Quantity(1),
            Self::Memory => Quantity(1000),
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

/// The ratio of a limit to its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ratio(pub(crate) Quantity);

/// Returns the power of ten of a thousandth that a decimal suffix or an exponent stands for.
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

/// Returns `mantissa` times ten to the `power`, rounded up.
fn scaled(mantissa: u128, power: i32) -> Quantity {
    let factor = 10u128.checked_pow(power.unsigned_abs());
    let thousandths = match factor {
        Some(factor) if power < 0 => mantissa.div_ceil(factor),
        None if power < 0 => 1,
        Some(factor) => mantissa.saturating_mul(factor),
        None => u128::MAX,
    };
    Quantity(u64::try_from(thousandths).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_are_read_as_the_api_server_does() {
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
            assert_eq!(Quantity::of(&value), thousandths.map(Quantity), "{value}");
        }
    }

    #[test]
    fn quantities_are_written_in_their_shortest_form() {
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
            assert_eq!(Quantity::parse(text).unwrap().written(resource), written, "{text}");
        }
    }

    #[test]
    fn a_ratio_bounds_limit_and_request() {
        let ratio = |text: &str| Ratio(Quantity::parse(text).unwrap());
        assert_eq!(Quantity(10).times(ratio("10")), Quantity(100));
        assert_eq!(Quantity(10).times(ratio("1.5")), Quantity(15));
        assert_eq!(Quantity(100).divided(ratio("3")), Quantity(34));
        assert!(Quantity(100).divided(ratio("3")).times(ratio("3")) >= Quantity(100));
        assert_eq!(Quantity(7).divided(ratio("0")), Quantity(7000));
    }

    #[test]
    fn memory_is_rounded_to_mebibytes() {
        let memory = Quantity::parse("100M").unwrap();
        assert_eq!(memory.rounded_down(Resource::Memory).written(Resource::Memory), "95Mi");
        assert_eq!(memory.rounded_up(Resource::Memory).written(Resource::Memory), "96Mi");
        assert_eq!(Quantity(7).rounded_up(Resource::Cpu), Quantity(7));
    }
}
