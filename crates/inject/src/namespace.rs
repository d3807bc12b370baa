//! What injection has to know of a workload's namespace.

use std::collections::BTreeMap;
use std::fmt;

use crate::demands::Demands;
use crate::mesh;

/// The label by which a namespace refuses pods.
const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

/// The annotation by which OpenShift keeps the users of a namespace's pods.
const USER_RANGE: &str = "openshift.io/sa.scc.uid-range";

/// The facts of a namespace that matter to its workloads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamespaceFacts {
    /// Those of its labels that ask a service mesh for its proxy, or keep it out.
    pub labels: BTreeMap<String, String>,
    /// Its annotations: defaults for its workloads.
    pub annotations: BTreeMap<String, String>,
    /// What it demands of pods.
    pub pod_security: PodSecurity,
    /// Whether OpenShift gives each of its pods a user out of a range of the namespace's.
    pub assigns_users: bool,
    /// What it demands of their resources.
    pub demands: Demands,
}

/// The Pod Security Standard that a namespace enforces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PodSecurity {
    /// Every pod is admitted.
    #[default]
    Privileged,
    /// No pod that adds the capability to redirect, among others.
    Baseline,
    /// Nor one that runs as root.
    Restricted,
}

impl NamespaceFacts {
    /// The facts of a namespace with these labels and annotations.
    pub fn of(labels: &BTreeMap<String, String>, annotations: BTreeMap<String, String>) -> Self {
        let pod_security = match labels.get(ENFORCE).map(String::as_str) {
            None | Some("privileged") => PodSecurity::Privileged,
            Some("baseline") => PodSecurity::Baseline,
            // The admission controller takes a level that it does not know for this one.
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
            demands: Demands::default(),
        }
    }
}

impl PodSecurity {
    /// Whether it refuses the container that redirects.
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
    fn the_label_is_read_as_the_admission_controller_reads_it() {
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
