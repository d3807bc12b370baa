//! The report of a proxy, and its JSON.

use serde::{Deserialize, Serialize};

use crate::public_key::KeyId;
use crate::quantity::Quantity;
use crate::refusal::Refusal;
use crate::sequence::Sequence;
use crate::state::BalanceState;
use crate::workload::Workload;

/// The longest report that is read, in bytes.
pub const MAX_REPORT_BYTES: usize = 4096;

/// The version of the report. Other versions are rejected; members may be added within a version.
const VERSION: u32 = 1;

/// The figures of a pod. Every number is finite and not negative.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    version: Version,
    /// The workload of the pod.
    pub workload: Workload,
    /// The sum of the estimated rates of its connections, marked ones included, in requests per second.
    pub load: Quantity,
    /// Its HTTP client connections, marked ones included.
    pub connections: u32,
    /// Its marked connections, which are retired with their next response.
    pub marked: u32,
    /// The sums of the decayed requests and seconds of its estimates. Their quotient over all pods of a workload is the
    /// mean rate of a connection.
    pub recent: Recent,
    /// The number of requests since the proxy started.
    pub requests: u64,
    /// The number of connections that balancing has retired since the proxy started.
    pub retired: u64,
    /// Whether balancing is in force, and why not.
    pub state: BalanceState,
    /// The sequence number of the last accepted instruction. The next leader continues above it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<Sequence>,
    /// Why the instruction in the request was refused; `None` if it was accepted, or there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refusal>,
    /// The public keys of the proxy. A rotation is complete once every proxy has the new one.
    #[serde(default)]
    pub keys: Vec<KeyId>,
}

/// The sums of the decayed requests and seconds of all connections ([`retirement::RateEstimate`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Recent {
    /// Decayed requests.
    pub requests: Quantity,
    /// Decayed time in seconds.
    pub seconds: Quantity,
}

/// The version that this code writes and reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
struct Version;

/// Why a response is not a report.
#[derive(Debug, thiserror::Error)]
pub enum InvalidReport {
    /// It is too long.
    #[error("expected at most {MAX_REPORT_BYTES} bytes, found {0}")]
    Long(usize),
    /// It is not JSON, lacks a member, or has a member of the wrong type, range or version.
    #[error("expected a report in JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// It has more marked connections than connections.
    #[error("expected at most {connections} marked connections, found {marked}")]
    Marked {
        /// All connections.
        connections: u32,
        /// Marked connections.
        marked: u32,
    },
}

impl Report {
    /// Returns the report of a proxy of `workload` that has no connection and has received no instruction.
    pub const fn new(workload: Workload) -> Self {
        Self {
            version: Version,
            workload,
            load: Quantity::ZERO,
            connections: 0,
            marked: 0,
            recent: Recent { requests: Quantity::ZERO, seconds: Quantity::ZERO },
            requests: 0,
            retired: 0,
            state: BalanceState::NoInstruction,
            sequence: None,
            refused: None,
            keys: Vec::new(),
        }
    }

    /// Returns the report as JSON in one line.
    pub fn to_json(&self) -> String {
        let text = serde_json::to_string(self);
        debug_assert!(text.is_ok(), "text, integers and finite numbers have a JSON text: {text:?}");
        text.unwrap_or_default()
    }

    /// Parses a report.
    ///
    /// # Errors
    /// If it is too long, or not a valid report; the error says what was expected.
    pub fn from_json(bytes: &[u8]) -> Result<Self, InvalidReport> {
        if bytes.len() > MAX_REPORT_BYTES {
            return Err(InvalidReport::Long(bytes.len()));
        }
        let report: Self = serde_json::from_slice(bytes)?;
        let Self { connections, marked, .. } = report;
        if marked > connections {
            return Err(InvalidReport::Marked { connections, marked });
        }
        Ok(report)
    }
}

impl TryFrom<u32> for Version {
    type Error = String;

    fn try_from(version: u32) -> Result<Self, String> {
        if version == VERSION { Ok(Self) } else { Err(format!("expected version {VERSION}, found {version}")) }
    }
}

impl From<Version> for u32 {
    fn from(_: Version) -> Self {
        VERSION
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::public_key::PublicKey;

    fn full() -> Report {
        Report {
            load: Quantity::new(12.5).unwrap(),
            connections: 7,
            marked: 2,
            recent: Recent { requests: Quantity::new(370.25).unwrap(), seconds: Quantity::new(29.5).unwrap() },
            requests: u64::MAX,
            retired: 3,
            state: BalanceState::InForce,
            sequence: Some(Sequence::MAX),
            refused: Some(Refusal::OldSequence),
            keys: vec![PublicKey::of_bytes([1; 32]).id()],
            ..Report::new("shop/Deployment/web".parse().unwrap())
        }
    }

    #[test]
    fn a_report_has_the_documented_json() {
        let expected = json!({
            "version": 1,
            "workload": "shop/Deployment/web",
            "load": 12.5,
            "connections": 7,
            "marked": 2,
            "recent": {"requests": 370.25, "seconds": 29.5},
            "requests": u64::MAX,
            "retired": 3,
            "state": "in_force",
            "sequence": 9_007_199_254_740_991_u64,
            "refused": "old_sequence",
            "keys": [PublicKey::of_bytes([1; 32]).id().to_string()],
        });
        assert_eq!(serde_json::from_str::<Value>(&full().to_json()).unwrap(), expected);
    }

    #[test]
    fn unusable_reports_are_refused() {
        let cases = [
            ("version", json!(2)),
            ("version", Value::Null),
            ("workload", json!("shop/web")),
            ("workload", json!(7)),
            ("load", json!(-0.5)),
            ("load", json!(1e308)),
            ("load", json!("NaN")),
            ("load", Value::Null),
            ("connections", json!(-1)),
            ("connections", json!(1.5)),
            ("connections", json!(1u64 << 32)),
            ("marked", json!(8)),
            ("recent", json!({"requests": 1})),
            ("recent", json!({"requests": -1, "seconds": 1})),
            ("requests", json!(-1)),
            ("state", json!("sleepy")),
            ("sequence", json!(0)),
            ("sequence", json!(1u64 << 53)),
            ("refused", json!("no")),
            ("keys", json!(["0123"])),
        ];
        for (member, value) in cases {
            let mut report: Value = serde_json::from_str(&full().to_json()).unwrap();
            report[member] = value.clone();
            assert!(Report::from_json(report.to_string().as_bytes()).is_err(), "{member}: {value}");
        }
        for text in ["", "{}", "[]", "null", "NaN", "{\"load\":NaN}", "\u{feff}{}"] {
            assert!(Report::from_json(text.as_bytes()).is_err(), "{text}");
        }
        let infinite = full().to_json().replace("12.5", "1e999");
        assert!(Report::from_json(infinite.as_bytes()).is_err());
        let twice = full().to_json().replace("\"load\":12.5", "\"load\":12.5,\"load\":1.0");
        assert!(Report::from_json(twice.as_bytes()).is_err());
    }

    #[test]
    fn the_longest_report_is_within_the_limit_of_its_size() {
        let longest = Workload::new(&"a".repeat(63), &"K".repeat(63), &"a".repeat(253)).unwrap();
        let keys = vec![PublicKey::of_bytes([1; 32]).id(); 4];
        let text = Report { keys, workload: longest, ..full() }.to_json();
        assert!(text.len() < 1024, "{}", text.len());
        let padded = text + &" ".repeat(MAX_REPORT_BYTES);
        assert!(matches!(Report::from_json(padded.as_bytes()), Err(InvalidReport::Long(_))));
    }

    #[test]
    fn unknown_fields_of_a_report_are_ignored() {
        let more = full().to_json().replacen('{', "{\"cpu\":0.5,", 1);
        assert_eq!(Report::from_json(more.as_bytes()).unwrap(), full());
    }

    proptest! {
        #[test]
        fn a_report_survives_a_round_trip(
            load: u32, requests: u32, seconds: u32,
            connections: u32, marked: u32, count: u64, sequence in proptest::option::of(1u64..1 << 53),
        ) {
            // Numbers of few digits: serde_json may read the last of seventeen otherwise.
            let quantity = |eighths: u32| Quantity::new(f64::from(eighths) / 8.0).unwrap();
            let report = Report {
                load: quantity(load),
                recent: Recent { requests: quantity(requests), seconds: quantity(seconds) },
                connections,
                marked: marked.min(connections),
                requests: count,
                sequence: sequence.map(|sequence| Sequence::new(sequence).unwrap()),
                ..full()
            };
            prop_assert_eq!(Report::from_json(report.to_json().as_bytes()).unwrap(), report);
        }

        #[test]
        fn no_bytes_make_parsing_a_report_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Report::from_json(&bytes);
        }
    }
}
