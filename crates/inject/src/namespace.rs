//! What injection reads of a workload's namespace.

use std::collections::BTreeMap;
use std::fmt;

use crate::mesh;
use crate::resources::constraints::ResourceConstraints;

/// The label of Pod Security admission (KEP-2579).
const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

/// The annotation in which OpenShift keeps the range of user IDs for the pods of a namespace.
const USER_RANGE: &str = "openshift.io/sa.scc.uid-range";

/// The facts of a namespace that matter to its workloads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamespaceFacts {
    /// Its labels that decide whether a service mesh injects its proxy.
    pub labels: BTreeMap<String, String>,
    /// Its annotations; they hold defaults for its workloads.
    pub annotations: BTreeMap<String, String>,
    /// The level of Pod Security that it enforces.
    pub pod_security: PodSecurity,
    /// Whether OpenShift assigns user IDs to its pods.
    pub assigns_users: bool,
    /// The constraints of its `LimitRange`s and `ResourceQuota`s on its pods' resources.
    pub constraints: ResourceConstraints,
}

/// The Pod Security Standard that a namespace enforces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PodSecurity {
    /// Admits every pod.
    #[default]
    Privileged,
    /// Refuses pods that add the capability `NET_ADMIN`, which the redirect needs.
    Baseline,
    /// Also refuses pods that run as root.
    Restricted,
}

impl NamespaceFacts {
    /// Returns the facts of a namespace with these labels and annotations, without constraints.
    pub fn of(labels: &BTreeMap<String, String>, annotations: BTreeMap<String, String>) -> Self {
        let pod_security = match labels.get(ENFORCE).map(String::as_str) {
            None | Some("privileged") => PodSecurity::Privileged,
            Some("baseline") => PodSecurity::Baseline,
            // The admission controller treats an unknown level as this one.
            Some(_) => PodSecurity::Restricted,
        };
        let of_meshes = |(key, _): &(&String, &String)| mesh::NAMESPACE_KEYS.contains(&key.as_str());
        let owned = |(key, value): (&String, &String)| (key.clone(), value.clone());
        let assigns_users = annotations.contains_key(USER_RANGE);
        Self {
            labels: labels.iter().filter(of_meshes).map(owned).collect(),
            annotations,
            pod_security,
            assigns_users,
            constraints: ResourceConstraints::default(),
        }
    }

    pub(crate) fn metadata(&self) -> mesh::Metadata<'_> {
        mesh::Metadata { labels: &self.labels, annotations: &self.annotations }
    }
}

impl PodSecurity {
    /// Returns whether the level refuses the container that redirects.
    pub const fn refuses_redirect(self) -> bool {
        match self {
            Self::Privileged => false,
            Self::Baseline | Self::Restricted => true,
        }
    }
}

impl fmt::Display for PodSecurity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pod_security_label_is_read_as_the_admission_controller_does() {
        for (label, level) in [
            (None, PodSecurity::Privileged),
            (Some("privileged"), PodSecurity::Privileged),
            (Some("baseline"), PodSecurity::Baseline),
            (Some("restricted"), PodSecurity::Restricted),
            (Some("Baseline"), PodSecurity::Restricted),
        ] {
            let labels = label.map(|label| (ENFORCE.to_owned(), label.to_owned())).into_iter().collect();
            assert_eq!(NamespaceFacts::of(&labels, BTreeMap::new()).pod_security, level, "{label:?}");
        }
    }
}
