//! What an injection tells the author of the workload.

use std::collections::BTreeSet;
use std::fmt;

use settings::{Interception, PREFIX, Span};

use crate::amount::{Amount, Resource};
use crate::namespace::PodSecurity;

/// The longest sentence that a warning can be; kubectl prints each on a line of its own.
const LONGEST: usize = 120;

/// What was injected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The app ports that pass through the proxy; never empty.
    pub ports: BTreeSet<u16>,
    /// How clients of these ports reach the proxy.
    pub interception: Interception,
    /// The bound on the drain, after the grace period has had its say.
    pub drain_timeout: Span,
    /// What is not as one would expect.
    pub notes: Vec<Note>,
}

/// Something about an injection that its author should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The drain would have outlasted its share of the grace period.
    DrainCut {
        /// What was asked for.
        asked: Span,
        /// What it became.
        cut: Span,
    },
    /// A container keeps a `preStop` hook of its own, and so does not wait for the drain.
    OwnHook {
        /// The container.
        container: String,
    },
    /// The pods were of the class `Guaranteed` of quality of service, and the sidecar's requests are below its limits.
    NotGuaranteed,
    /// The proxy gets other resources than the settings ask for, so that pods are admitted.
    Fitted {
        /// Which.
        resource: Resource,
        /// What it requests.
        request: Amount,
        /// The most that it may use.
        limit: Option<Amount>,
    },
    /// A quota has less left than the proxies of all replicas need.
    QuotaShort {
        /// What it is on: `limits.cpu`, say.
        quota: String,
        /// What they need.
        needed: String,
        /// What is left.
        left: String,
    },
    /// Nobody chose an interception, and the namespace refuses what would have been the default.
    NamedPortChosen {
        /// What it enforces.
        level: PodSecurity,
    },
    /// Nobody chose an interception, and the pod's sandbox cannot redirect.
    NamedPortInSandbox,
    /// Nobody chose an interception, and OpenShift lets few pods redirect.
    NamedPortOnOpenShift,
    /// Balancing is asked for, and no balancer is known.
    NoBalancer,
    /// Balancing is asked for, and the workload has no name that is known before its pods are made.
    NoNameToBalance,
    /// Clients that go by a number are not led to the proxy.
    ByNameAlone,
    /// A port that has no name, and so is not taken.
    Unnamed {
        /// The port.
        port: u16,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DrainCut { asked, cut } => {
                write!(f, "drain-timeout {asked} is cut to {cut}, two thirds of the grace period")
            }
            Self::OwnHook { container } => {
                write!(f, "{container} has its own preStop: not held for the drain")
            }
            Self::NotGuaranteed => {
                f.write_str("pods are no longer of QoS class Guaranteed; equal proxy-… requests and limits keep it")
            }
            Self::Fitted { resource, request, limit } => {
                let limit = limit.map_or_else(|| "none".to_owned(), |limit| limit.written(*resource));
                let request = request.written(*resource);
                write!(f, "so that pods are admitted, the proxy's {resource} is: request {request}, limit {limit}")
            }
            Self::QuotaShort { quota, needed, left } => {
                write!(f, "all replicas' proxies need {needed} of quota {quota}, {left} is left: pods may be refused")
            }
            Self::NamedPortChosen { level } => {
                write!(f, "the namespace enforces Pod Security {level}, so interception is named-port")
            }
            Self::NamedPortInSandbox => {
                f.write_str("gVisor (runtimeClassName) cannot redirect, so interception is named-port")
            }
            Self::NamedPortOnOpenShift => {
                f.write_str("OpenShift assigns users to pods of the namespace, so interception is named-port")
            }
            Self::NoBalancer => f.write_str(
                "balance: no balancer is installed, or it has no keys yet: requests alone retire connections",
            ),
            Self::NoNameToBalance => f.write_str(
                "balance: a workload with generateName has no lasting name: requests alone retire connections",
            ),
            Self::ByNameAlone => f.write_str(
                "named-port: a Service must give the port's name as targetPort; a number bypasses the proxy",
            ),
            Self::Unnamed { port } => {
                write!(f, "named-port: port {port} has no name and bypasses the proxy; name it")
            }
        }
    }
}

/// A warning: kubectl shows those of all webhooks alike, so each says whose it is. Cut where it is too long.
pub(crate) fn warning(text: &str) -> String {
    let text = if text.starts_with(PREFIX) { text.to_owned() } else { format!("evenkeel: {text}") };
    if text.chars().nth(LONGEST).is_none() {
        return text;
    }
    let mut cut: String = text.chars().take(LONGEST - 1).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_fit_with_the_longest_names() {
        let longest: Span = "31535999999ms".parse().unwrap();
        for note in [
            Note::DrainCut { asked: longest, cut: longest },
            Note::OwnHook { container: "a".repeat(63) },
            Note::NotGuaranteed,
            Note::Fitted {
                resource: Resource::Memory,
                request: Amount::of(&"8765432109876".into()).unwrap(),
                limit: Amount::of(&"9876543210987".into()),
            },
            Note::QuotaShort {
                quota: "requests.memory".to_owned(),
                needed: "8765432109Mi".to_owned(),
                left: "9876543210".to_owned(),
            },
            Note::NamedPortChosen { level: PodSecurity::Restricted },
            Note::NamedPortInSandbox,
            Note::NamedPortOnOpenShift,
            Note::NoBalancer,
            Note::NoNameToBalance,
            Note::ByNameAlone,
            Note::Unnamed { port: u16::MAX },
        ] {
            assert_eq!(warning(&note.to_string()), format!("evenkeel: {note}"));
        }
    }

    #[test]
    fn warnings_are_cut_by_characters() {
        let longest = "é".repeat(LONGEST - "evenkeel: ".len());
        assert_eq!(warning(&longest), format!("evenkeel: {longest}"));
        assert_eq!(warning(&format!("{longest}é")).chars().count(), LONGEST);
    }

    #[test]
    fn an_annotation_says_whose_it_is() {
        assert_eq!(warning("evenkeel.dev/jitter is missing"), "evenkeel.dev/jitter is missing");
    }
}
