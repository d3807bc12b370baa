//! Whole numbers with a range.

use std::fmt;
use std::num::{NonZeroU16, NonZeroU32};
use std::str::FromStr;

use super::InvalidValue;

/// Parses decimal digits alone: no sign, no spaces, no leading zeros, no look-alikes from other scripts.
fn digits<N: FromStr>(text: &str) -> Option<N> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

/// The requests (HTTP/2: streams) after which a connection is retired: 1 to 4294967295.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MaxRequests(NonZeroU32);

impl MaxRequests {
    /// Returns a limit of `n` requests; `None` for 0.
    pub const fn new(n: u32) -> Option<Self> {
        match NonZeroU32::new(n) {
            Some(n) => Some(Self(n)),
            None => None,
        }
    }

    /// Returns the limit.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl FromStr for MaxRequests {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        digits(text).map(Self).ok_or(InvalidValue("a whole number from 1 to 4294967295"))
    }
}

impl fmt::Display for MaxRequests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How far below `max-requests` a connection's own limit may be drawn: 0 % to 50 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jitter {
    percent: u8,
}

impl Jitter {
    /// No jitter: every connection carries exactly `max-requests`.
    pub const NONE: Self = Self { percent: 0 };

    /// Returns the fraction in percent.
    pub const fn percent(self) -> u8 {
        self.percent
    }
}

impl FromStr for Jitter {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        text.strip_suffix('%')
            .and_then(digits::<u8>)
            .filter(|percent| *percent <= 50)
            .map(|percent| Self { percent })
            .ok_or(InvalidValue("a whole percentage from 0% to 50%, with the % sign"))
    }
}

impl fmt::Display for Jitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.percent)
    }
}

/// The proxy's worker threads: 1 to 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threads(u8);

impl Threads {
    /// Returns the number of threads.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl FromStr for Threads {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        digits(text)
            .filter(|n| (1..=64).contains(n))
            .map(Self)
            .ok_or(InvalidValue("a whole number of threads from 1 to 64"))
    }
}

impl fmt::Display for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The client connections that the proxy holds at once: 1 to 1000000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxConnections(u32);

impl MaxConnections {
    /// Returns the number of connections.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl FromStr for MaxConnections {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        digits(text)
            .filter(|n| (1..=1_000_000).contains(n))
            .map(Self)
            .ok_or(InvalidValue("a whole number of connections from 1 to 1000000"))
    }
}

impl fmt::Display for MaxConnections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The longest message head that passes: 1 KiB to 1024 KiB, written `128Ki`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSize {
    kibibytes: NonZeroU16,
}

impl ByteSize {
    /// Returns the size in bytes.
    pub const fn bytes(self) -> usize {
        self.kibibytes.get() as usize * 1024
    }
}

impl FromStr for ByteSize {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        text.strip_suffix("Ki")
            .and_then(digits::<NonZeroU16>)
            .filter(|kibibytes| kibibytes.get() <= 1024)
            .map(|kibibytes| Self { kibibytes })
            .ok_or(InvalidValue("a size from 1Ki to 1024Ki, with the unit Ki"))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}Ki", self.kibibytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn max_requests_is_accepted_up_to_its_limits() {
        for good in ["1", "2", "1000", "4294967295"] {
            assert_eq!(good.parse::<MaxRequests>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "0",
            "-1",
            "+1",
            "01",
            "1.0",
            "1e3",
            " 1",
            "1\n",
            "4294967296",
            "18446744073709551616",
            "NaN",
            "١",
            "$(X)",
        ] {
            assert!(bad.parse::<MaxRequests>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn jitter_is_accepted_up_to_its_limits() {
        for good in ["0%", "1%", "10%", "50%"] {
            assert_eq!(good.parse::<Jitter>().unwrap().to_string(), good);
        }
        for bad in ["", "%", "10", "51%", "-1%", "010%", "10 %", "10%%", "0.1%"] {
            assert!(bad.parse::<Jitter>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn threads_connections_and_sizes_are_accepted_up_to_their_limits() {
        for (good, bad) in [("1", "0"), ("64", "65")] {
            assert!(good.parse::<Threads>().is_ok() && bad.parse::<Threads>().is_err());
        }
        for (good, bad) in [("1", "0"), ("1000000", "1000001")] {
            assert!(good.parse::<MaxConnections>().is_ok() && bad.parse::<MaxConnections>().is_err());
        }
        for (good, bad) in [("1Ki", "0Ki"), ("1024Ki", "1025Ki"), ("128Ki", "128")] {
            assert!(good.parse::<ByteSize>().is_ok() && bad.parse::<ByteSize>().is_err());
        }
        assert_eq!("2Ki".parse::<ByteSize>().unwrap().bytes(), 2048);
    }
}
