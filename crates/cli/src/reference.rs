//! Workloads of a cluster, as they are named on the command line.

use std::str::FromStr;

use inject::WorkloadKind;
use kube::api::ApiResource;
use kube::core::GroupVersionKind;

/// What kubectl abbreviates the kinds to.
const ABBREVIATIONS: [(&str, WorkloadKind); 5] = [
    ("deploy", WorkloadKind::Deployment),
    ("sts", WorkloadKind::StatefulSet),
    ("ds", WorkloadKind::DaemonSet),
    ("rs", WorkloadKind::ReplicaSet),
    ("ro", WorkloadKind::Rollout),
];

/// A workload by its kind and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) kind: WorkloadKind,
    pub(crate) name: String,
}

impl FromStr for Reference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected KIND/NAME, such as deployment/web".to_owned();
        let (kind, name) = text.split_once('/').filter(|(_, name)| !name.is_empty()).ok_or_else(expected)?;
        let word = kind.to_lowercase();
        let abbreviated = ABBREVIATIONS.iter().find(|(short, _)| *short == word).map(|(_, kind)| *kind);
        let is_it = |kind: &&WorkloadKind| {
            let name = kind.name().to_lowercase();
            word == name || word.strip_suffix('s') == Some(&name)
        };
        match abbreviated.or_else(|| WorkloadKind::ALL.iter().find(is_it).copied()) {
            // A pod's containers are settled with its creation.
            Some(kind) if kind.can_change() => Ok(Self { kind, name: name.to_owned() }),
            Some(_) | None => {
                let kinds: Vec<&str> =
                    WorkloadKind::ALL.iter().filter(|kind| kind.can_change()).map(|kind| kind.name()).collect();
                Err(format!("{kind} is not one of the kinds of workload: {}", kinds.join(", ")))
            }
        }
    }
}

impl Reference {
    /// Returns where its kind is in the API.
    pub(crate) fn resource(&self) -> ApiResource {
        let api_version = self.kind.api_version();
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, self.kind.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_are_named_as_kubectl_names_them() {
        for (text, kind) in [
            ("deployment/web", WorkloadKind::Deployment),
            ("deployments/web", WorkloadKind::Deployment),
            ("Deployment/web", WorkloadKind::Deployment),
            ("deploy/web", WorkloadKind::Deployment),
            ("sts/web", WorkloadKind::StatefulSet),
            ("daemonset/web", WorkloadKind::DaemonSet),
            ("rollouts/web", WorkloadKind::Rollout),
        ] {
            assert_eq!(text.parse(), Ok(Reference { kind, name: "web".to_owned() }), "{text}");
        }
        for (text, said) in [
            ("web", "expected KIND/NAME"),
            ("deployment/", "expected KIND/NAME"),
            ("pod/web", "pod is not one of the kinds of workload: Deployment, "),
            ("job/web", "job is not one of the kinds"),
        ] {
            let error = text.parse::<Reference>().unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
