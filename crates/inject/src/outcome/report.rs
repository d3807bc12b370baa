//! The report of an injection for the author of the workload.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use settings::{Interception, MaxRequests, PREFIX, Span};

use crate::namespace::PodSecurity;
use crate::resources::quantity::{Quantity, Resource};

/// The most characters of a warning; kubectl prints each on one line.
const MAX_CHARS: usize = 120;

/// The report of an injection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The app ports that pass through the proxy; never empty.
    pub ports: BTreeSet<u16>,
    /// How clients of these ports reach the proxy.
    pub interception: Interception,
    /// The requests after which a connection is retired; `None` if only balancing retires connections.
    pub max_requests: Option<MaxRequests>,
    /// The limit on the drain, cut to its part of the grace period.
    pub drain_timeout: Span,
    /// The labels and ports by which Services find the pods.
    pub target: ServiceTarget,
    /// Remarks for the author.
    pub notes: Vec<Note>,
}

/// The labels and ports by which Services find the pods of a workload and their ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceTarget {
    /// The labels of the pods.
    pub labels: BTreeMap<String, String>,
    /// The TCP ports that the app's containers declare, with their names, as their author wrote them.
    pub declared: Vec<(u16, Option<String>)>,
    /// Whether a setting names the ports to intercept. Then other declared ports bypass the proxy on purpose.
    pub is_chosen: bool,
}

/// A remark on an injection for the author of the workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The drain may take two thirds of the grace period, which is less than the setting.
    DrainCut {
        /// The setting.
        asked: Span,
        /// The limit in force.
        cut: Span,
    },
    /// A container has a `preStop` hook of its own, and so does not wait for the drain.
    OwnHook {
        /// The container.
        container: String,
    },
    /// The pods had the `QoS` class `Guaranteed`, and lose it: the requests of the proxy are below its limits.
    NotGuaranteed,
    /// The resources of the proxy differ from the settings, so that pods are admitted.
    Fitted {
        /// The resource.
        resource: Resource,
        /// Its request.
        request: Quantity,
        /// Its limit.
        limit: Option<Quantity>,
    },
    /// A quota has less left than the proxies of all replicas need.
    QuotaShort {
        /// The quota: `limits.cpu`, for example.
        quota: String,
        /// The sum that the proxies need.
        needed: String,
        /// What is left.
        left: String,
    },
    /// No setting chooses an interception, and the namespace refuses a redirect.
    NamedPortChosen {
        /// The Pod Security level of the namespace.
        level: PodSecurity,
    },
    /// No setting chooses an interception, and the pod's sandbox has no nftables.
    NamedPortInSandbox,
    /// No setting chooses an interception, and OpenShift lets few pods redirect.
    NamedPortOnOpenShift,
    /// Balancing is on, and no balancer is known.
    NoBalancer,
    /// Balancing is on, and the workload has no name before its pods are created.
    NoNameToBalance,
    /// Services that give a number as `targetPort` bypass the proxy.
    ByNameAlone,
    /// A declared port without a name bypasses the proxy.
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

/// Returns the text as a warning with the prefix `evenkeel: `, because kubectl does not show which webhook a warning is
/// from. A text that is too long is truncated.
pub(crate) fn warning(text: &str) -> String {
    let text = if text.starts_with(PREFIX) { text.to_owned() } else { format!("evenkeel: {text}") };
    if text.chars().nth(MAX_CHARS).is_none() {
        return text;
    }
    let mut cut: String = text.chars().take(MAX_CHARS - 1).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_with_the_longest_names_are_not_truncated() {
        let longest: Span = "31535999999ms".parse().unwrap();
        for note in [
            Note::DrainCut { asked: longest, cut: longest },
            Note::OwnHook { container: "a".repeat(63) },
            Note::NotGuaranteed,
            Note::Fitted {
                resource: Resource::Memory,
                request: Quantity::of(&"8765432109876".into()).unwrap(),
                limit: Quantity::of(&"9876543210987".into()),
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
    fn warnings_are_truncated_at_a_character() {
        let longest = "é".repeat(MAX_CHARS - "evenkeel: ".len());
        assert_eq!(warning(&longest), format!("evenkeel: {longest}"));
        assert_eq!(warning(&format!("{longest}é")).chars().count(), MAX_CHARS);
    }

    #[test]
    fn a_warning_about_an_annotation_has_no_second_prefix() {
        assert_eq!(warning("evenkeel.dev/jitter is missing"), "evenkeel.dev/jitter is missing");
    }
}
