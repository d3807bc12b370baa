//! The kinds of workloads with a pod template.

/// A kind of workload. The kinds differ in the path of the pod template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkloadKind {
    /// `apps/v1` Deployment.
    Deployment,
    /// `apps/v1` StatefulSet.
    StatefulSet,
    /// `apps/v1` DaemonSet.
    DaemonSet,
    /// `apps/v1` ReplicaSet; one that a Deployment or Rollout controls is left alone.
    ReplicaSet,
    /// `v1` Pod, which can be injected only when it is created.
    Pod,
    /// `argoproj.io` Rollout.
    Rollout,
}

impl WorkloadKind {
    /// Returns the kind of an object with this `apiVersion` and `kind`; `None` if objects of its kind are never
    /// injected.
    pub fn of(api_version: &str, kind: &str) -> Option<Self> {
        match (api_version, kind) {
            ("apps/v1", "Deployment") => Some(Self::Deployment),
            ("apps/v1", "StatefulSet") => Some(Self::StatefulSet),
            ("apps/v1", "DaemonSet") => Some(Self::DaemonSet),
            ("apps/v1", "ReplicaSet") => Some(Self::ReplicaSet),
            ("v1", "Pod") => Some(Self::Pod),
            ("argoproj.io/v1alpha1", "Rollout") => Some(Self::Rollout),
            _ => None,
        }
    }

    /// All kinds, in the order of the documentation.
    pub const ALL: &[Self] =
        &[Self::Deployment, Self::StatefulSet, Self::DaemonSet, Self::ReplicaSet, Self::Pod, Self::Rollout];

    /// Returns its name in manifests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::ReplicaSet => "ReplicaSet",
            Self::Pod => "Pod",
            Self::Rollout => "Rollout",
        }
    }

    /// Returns its group and version in manifests.
    pub const fn api_version(self) -> &'static str {
        match self {
            Self::Deployment | Self::StatefulSet | Self::DaemonSet | Self::ReplicaSet => "apps/v1",
            Self::Pod => "v1",
            Self::Rollout => "argoproj.io/v1alpha1",
        }
    }

    /// Returns whether an update can change the pod template. The containers of a pod are fixed: a patch would make the
    /// API server refuse its author's update.
    pub const fn can_change(self) -> bool {
        match self {
            Self::Deployment | Self::StatefulSet | Self::DaemonSet | Self::ReplicaSet | Self::Rollout => true,
            Self::Pod => false,
        }
    }

    /// Returns the path of the pod template (an object with `metadata` and `spec`).
    pub(crate) const fn template(self) -> &'static [&'static str] {
        match self {
            Self::Deployment | Self::StatefulSet | Self::DaemonSet | Self::ReplicaSet | Self::Rollout => {
                &["spec", "template"]
            }
            Self::Pod => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_a_pod_template() {
        for kind in WorkloadKind::ALL {
            let versions = ["apps/v1", "v1", "argoproj.io/v1alpha1"];
            let found = versions.iter().filter_map(|version| WorkloadKind::of(version, kind.name()));
            assert_eq!(found.collect::<Vec<_>>(), [*kind]);
            assert_eq!(WorkloadKind::of(kind.api_version(), kind.name()), Some(*kind));
        }
        for (api_version, kind) in
            [("extensions/v1beta1", "Deployment"), ("v1", "Service"), ("batch/v1", "Job"), ("", "")]
        {
            assert_eq!(WorkloadKind::of(api_version, kind), None);
        }
    }
}
